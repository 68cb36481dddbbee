import { Tensor, type Processor, type RawImage } from '@huggingface/transformers'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import { imageProcessorOf, imageTokenId } from './llava.js'
import type { ModelConfig, ModelInputs } from './transformers.js'

/**
 * Idefics3 and SmolVLM: an image becomes tiles and, last, the whole picture; pixel shuffle merges scale x scale patches into
 * one visual token. `pixel_values` is `[B, T, 3, H, W]`, one row a prompt; tiles that only fill a row up are all zeros.
 */
export const idefics3: ModelAdapter = {
  family: 'idefics3',
  modelTypes: ['idefics3', 'smolvlm'],
  imageTokenId,
  patchesPerToken: (config) => scaleOf(config) ** 2,

  video: () => ({ frames: 8, as: 'images' }),

  async preprocess(processor: Processor, images: readonly RawImage[]): Promise<Partial<ModelInputs>> {
    return (await imageProcessorOf(processor)([...images])) as Partial<ModelInputs>
  },

  // Rows, columns and the whole picture have marks of their own in the prompt, which the library's processor writes.
  async prompt(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs> {
    return (await (processor as unknown as Idefics3Processor)(text, [[...images]])) as ModelInputs
  },

  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[] {
    const cell = Number(config.vision_config?.['patch_size']) * scaleOf(config)
    const [, , , height = 0, width = 0] = (inputs.pixel_values as Tensor).dims
    const total = realTiles(inputs).reduce((sum, tiles) => sum + tiles, 0)
    return Array.from({ length: total }, () => ({ rows: Math.floor(height / cell), columns: Math.floor(width / cell) }))
  },

  // Which tiles belong to which picture of a prompt is not known here, so a budget is that of a prompt's pictures together.
  tilesPerImage: (_config, inputs) => realTiles(inputs),

  // Earlier images are dropped in single conversations only.
  dropGrids(_config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    const pixels = inputs.pixel_values as Tensor
    return {
      ...inputs,
      pixel_values: pixels.slice(null, [count, pixels.dims[1] as number]),
      pixel_attention_mask: undefined,
    }
  },

  blankImage(config: ModelConfig): ModelInputs {
    const side = Number(config.vision_config?.['image_size'])
    // Black is -1 after normalisation; zeros would count as padding.
    const pixels = new Float32Array(3 * side * side).fill(-1)
    return { pixel_values: new Tensor('float32', pixels, [1, 1, 3, side, side]) } as ModelInputs
  },
}

type Idefics3Processor = (text: string, images: RawImage[][]) => Promise<unknown>

function scaleOf(config: ModelConfig): number {
  return config.scale_factor ?? 2
}

/** Tiles of each row of the batch that hold pixels. */
function realTiles({ pixel_values }: ModelInputs): number[] {
  const { dims, data } = pixel_values as Tensor
  const [rows, tiles] = dims as [number, number]
  const size = data.length / (rows * tiles)
  const isReal = (tile: number) =>
    (data as Float32Array).subarray(tile * size, (tile + 1) * size).some((value) => value !== 0)
  return Array.from({ length: rows }, (_, row) => {
    return Array.from({ length: tiles }, (_, tile) => row * tiles + tile).filter(isReal).length
  })
}
