import { Tensor, type Processor, type RawImage } from '@huggingface/transformers'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import { imageTokenId, llava, rowsFrom, zeros } from './llava.js'
import type { ModelConfig, ModelInputs, OnnxSession } from './transformers.js'

/**
 * LFM2-VL: a picture is one tile of any shape, or, when it is large, tiles of one size and a thumbnail. Patches come packed and
 * padded, `pixel_values` `[tiles, patches, values]` with a mask and each tile's rows and columns; pixel unshuffle merges
 * factor x factor of them into one visual token. The encoder returns the visual tokens of all tiles in one list.
 */
export const lfm2Vl: ModelAdapter = {
  ...llava,
  family: 'lfm2_vl',
  modelTypes: ['lfm2_vl'],
  patchesPerToken: (config) => factorOf(config) ** 2,

  // Tiles have marks of their own in the prompt, which the library's processor writes.
  async prompt(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs> {
    return (await (processor as unknown as Lfm2VlProcessor)([...images], text)) as ModelInputs
  },

  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[] {
    const factor = factorOf(config)
    return ((inputs['spatial_shapes'] as Tensor).tolist() as bigint[][]).map(([rows, columns]) => ({
      rows: Math.ceil(Number(rows) / factor),
      columns: Math.ceil(Number(columns) / factor),
    }))
  },

  tilesPerImage(config: ModelConfig, inputs: ModelInputs): number[] {
    const sizes = lfm2Vl.grids(config, inputs).map(({ rows, columns }) => rows * columns)
    return tilesByMarks(inputs.input_ids, imageTokenId(config), sizes)
  },

  dropGrids(_config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    const rest = PER_TILE.map((name) => [name, rowsFrom(inputs[name] as Tensor, count)])
    return { ...inputs, ...Object.fromEntries(rest) } as ModelInputs
  },

  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs {
    const shape = encoder.inputMetadata?.find(({ name }) => name === 'pixel_values')?.shape ?? []
    const side = 4 * factorOf(config)
    const int64 = (values: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
    return {
      pixel_values: zeros([1, side * side, Number(shape[2])]),
      pixel_attention_mask: int64(Array<number>(side * side).fill(1), [1, side * side]),
      spatial_shapes: int64([side, side], [1, 2]),
    } as unknown as ModelInputs
  },
}

const PER_TILE = ['pixel_values', 'pixel_attention_mask', 'spatial_shapes'] as const

type Lfm2VlProcessor = (images: RawImage[], text: string) => Promise<unknown>

function factorOf(config: ModelConfig): number {
  return config.downsample_factor ?? 2
}

/**
 * How many tiles belong to each picture. No input says so, the prompt does: between tiles of one picture stands exactly one
 * mark, between pictures stand an end and a start at least.
 *
 * @param sizes Visual tokens of each tile.
 */
export function tilesByMarks(input_ids: Tensor, imageToken: number, sizes: readonly number[]): number[] {
  const counts: number[] = []
  let next = 0
  for (const ids of input_ids.tolist() as bigint[][]) {
    const places = ids.flatMap((id, i) => (Number(id) === imageToken ? [i] : []))
    for (let offset = 0; offset < places.length; offset += sizes[next++] ?? places.length) {
      const gap = (places[offset] as number) - (places[offset - 1] ?? -Infinity)
      if (gap === 2) counts.push((counts.pop() ?? 0) + 1)
      else counts.push(1)
    }
  }
  return counts
}
