import { Tensor, type Processor, type RawImage } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import type { ModelConfig, ModelInputs, OnnxSession } from './transformers.js'

/**
 * LLaVA-1.5 and models built like it: one image is one entry of `pixel_values`, one patch is one visual token, rows in
 * raster order, positions of the prompt are compact (SPEC 4).
 */
export const llava: ModelAdapter = {
  family: 'llava',
  modelTypes: ['llava'],
  imageTokenId,
  patchesPerToken: () => 1,

  async preprocess(processor: Processor, images: readonly RawImage[]): Promise<Partial<ModelInputs>> {
    return (await imageProcessorOf(processor)([...images])) as Partial<ModelInputs>
  },

  grids(config: ModelConfig, { pixel_values }: ModelInputs): PatchGrid[] {
    const patchSize = Number(config.vision_config?.['patch_size'])
    const [count = 0, , height = 0, width = 0] = pixel_values?.dims ?? []
    const grid = { rows: Math.floor(height / patchSize), columns: Math.floor(width / patchSize) }
    return Array.from({ length: count }, () => grid)
  },

  dropGrids(_config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    return { ...inputs, pixel_values: rowsFrom(inputs.pixel_values as Tensor, count) }
  },

  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs {
    const shape = encoder.inputMetadata?.find(({ name }) => name === 'pixel_values')?.shape ?? []
    const side = Number(config.vision_config?.['image_size'])
    const dims = [1, 3, ...[2, 3].map((axis) => (typeof shape[axis] === 'number' ? shape[axis] : side))]
    return { pixel_values: zeros(dims) } as ModelInputs
  },
}

/** Id of the image placeholder; configs call it by either name. */
export function imageTokenId(config: ModelConfig): number {
  const id = config.image_token_index ?? config.image_token_id
  if (id === undefined) throw new ModelError('config.json names no image_token_index, so image tokens cannot be found')
  return id
}

/** @throws ModelError for a model folder without preprocessor_config.json. */
export function imageProcessorOf({ image_processor }: Processor): (images: RawImage[]) => Promise<unknown> {
  if (!image_processor)
    throw new ModelError('the model has no image processor; preprocessor_config.json may be missing')
  return image_processor as unknown as (images: RawImage[]) => Promise<unknown>
}

/** A tensor without its first `count` entries. */
export function rowsFrom(tensor: Tensor, count: number): Tensor {
  return tensor.slice([count, tensor.dims[0] as number])
}

export function zeros(dims: readonly number[]): Tensor {
  return new Tensor('float32', new Float32Array(dims.reduce((size, dim) => size * dim, 1)), [...dims])
}
