import type { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import type { ModelConfig, ModelInputs } from './transformers.js'

/**
 * LLaVA-1.5 and models built like it: one image is one entry of `pixel_values`, one patch is one visual token, rows in
 * raster order, positions of the prompt are compact (SPEC 4).
 */
export const llava: ModelAdapter = {
  family: 'llava',
  modelTypes: ['llava', 'llava_onevision'],

  imageTokenId(config: ModelConfig): number {
    const id = config.image_token_index ?? config.image_token_id
    if (id === undefined)
      throw new ModelError('config.json names no image_token_index, so image tokens cannot be found')
    return id
  },

  grids(config: ModelConfig, { pixel_values }: ModelInputs): PatchGrid[] {
    const patchSize = Number(config.vision_config?.['patch_size'])
    const [count = 0, , height = 0, width = 0] = pixel_values?.dims ?? []
    const grid = { rows: Math.floor(height / patchSize), columns: Math.floor(width / patchSize) }
    return Array.from({ length: count }, () => grid)
  },

  dropImages(inputs: ModelInputs, count: number): ModelInputs {
    return {
      ...inputs,
      pixel_values: (inputs.pixel_values as Tensor).slice([count, inputs.pixel_values?.dims[0] as number]),
    }
  },
}
