import type { Processor, RawImage, Tensor } from '@huggingface/transformers'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelConfig, ModelInputs, OnnxSession, VisionLanguageModel } from './transformers.js'

/** Every fact that pruning needs to know of one family of models. CONTRIBUTING.md says how to add one. */
export interface ModelAdapter {
  readonly family: string
  /** `model_type` values of config.json that this adapter serves. */
  readonly modelTypes: readonly string[]
  /** Id of the placeholder that stands for one visual token in the prompt. */
  imageTokenId(config: ModelConfig): number
  /** Patches that one visual token is made of: 1, or 4 for a 2 x 2 merge. */
  patchesPerToken(config: ModelConfig): number
  /** The image processor's outputs for these images, one after the other. */
  preprocess(processor: Processor, images: readonly RawImage[]): Promise<Partial<ModelInputs>>
  /** The whole input of a prompt with its image placeholders written once, of models whose processor writes more than them. */
  prompt?(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs>
  /** Patch grid of each image, tile or frame, in the order of the encoder's features and before it has run. */
  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[]
  /** How many of the grids are tiles or frames of one image, which share its budget; absent where a grid is an image. */
  tilesPerImage?(config: ModelConfig, inputs: ModelInputs): number[]
  /** The same inputs without the first `count` grids. */
  dropGrids(config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs
  /** Side of the pixels behind one visual token, of encoders that take any resolution. */
  pixelsPerToken?(config: ModelConfig): number
  /** The smallest valid input of the vision encoder: one black image. */
  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs
  /**
   * Positions of the unpruned prompt, int64 `[3, B, T]`, of models whose kept tokens keep theirs (M-RoPE); absent where
   * positions are compact and the model counts them itself (SPEC 4).
   */
  positions?(model: VisionLanguageModel, inputs: ModelInputs): Tensor
}
