import type { PatchGrid } from '../pruning/index.js'
import type { ModelConfig, ModelInputs } from './transformers.js'

/** Every fact that pruning needs to know of one family of models. CONTRIBUTING.md says how to add one. */
export interface ModelAdapter {
  readonly family: string
  /** `model_type` values of config.json that this adapter serves. */
  readonly modelTypes: readonly string[]
  /** Id of the placeholder that stands for one visual token in the prompt. */
  imageTokenId(config: ModelConfig): number
  /** Patch grid of the visual tokens of each entry of `pixel_values`, before the encoder has run. */
  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[]
  /** The same inputs without the first `count` entries of `pixel_values`. */
  dropImages(inputs: ModelInputs, count: number): ModelInputs
}
