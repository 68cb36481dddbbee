import type { Processor, RawImage, Tensor } from '@huggingface/transformers'
import { ArgumentError, ModelError } from '../../errors.js'
import type { ImageLayout, MixedGrid, ModelAdapter } from '../adapter.js'
import { findModelFile, type ModelSource } from '../encoder-file.js'
import { bestResolution, type Size } from '../llava-next/anyres.js'
import { SEPARATOR } from '../adapter.js'
import { llava, imageTokenId, rowsFrom } from '../llava.js'
import type { ResolvedSource } from '../source.js'
import type { ModelConfig, ModelInputs } from '../transformers.js'
import { planeOf, type Plane } from './plane.js'
import { loadLlavaOnevisionProcessor, type LlavaOnevisionProcessor } from './processor.js'

/**
 * LLaVA-OneVision. With tiles 'single', as Transformers.js runs it, an image is one tile. With tiles 'anyres', as it was
 * trained, one image a prompt is a base image and up to 6 x 6 tiles, see {@link planeOf}; the newline token comes from
 * `image_newline.f32.bin` (float32 `[D]`) in the model folder, because exports of three graphs leave it out.
 */
export const llavaOnevision: ModelAdapter = {
  ...llava,
  family: 'llava-onevision',
  modelTypes: ['llava_onevision'],
  inputNames: ['image_sizes', 'num_tiles'],
  tileModes: ['single', 'anyres'],
  // Trained on several images and on frames.
  video: () => ({ frames: 8, as: 'images' }),

  async preprocess(processor: Processor, images: readonly RawImage[]): Promise<Partial<ModelInputs>> {
    if (!('pixels' in processor)) return await llava.preprocess(processor, images)
    return await (processor as LlavaOnevisionProcessor).pixels(images)
  },

  async loadProcessor(
    source: ResolvedSource,
    files: ModelSource,
    loading: object,
    config: ModelConfig,
    tiles = 'single',
  ): Promise<Processor> {
    const processor = await loadLlavaOnevisionProcessor(source, files, loading)
    processor.placeholder = processor.tokenizer?.decode([imageTokenId(config)], {
      skip_special_tokens: false,
    }) as string
    processor.anyres = tiles === 'anyres'
    if (processor.anyres) {
      if (!config.image_grid_pinpoints?.length) throw new ModelError('config.json has no image_grid_pinpoints')
      const newline = await findModelFile({ ...files, subfolder: '' }, 'image_newline.f32.bin')
      if (!newline)
        throw new ArgumentError('tiles', tiles, "'single' for this folder, which has no image_newline.f32.bin")
      newlines.set(config, new Float32Array(newline.bytes.slice().buffer))
    }
    processor.counts = (inputs) => {
      const layouts = layoutsOf(config, inputs)
      if (layouts) return layouts.map(({ tokens }) => tokens.length)
      return llava.grids(config, inputs).map(({ rows, columns }) => rows * columns)
    }
    return processor
  },

  tilesPerImage: (config, inputs) => planes(config, inputs)?.map(({ layout }) => layout.tiles) ?? ones(inputs),
  layouts: layoutsOf,

  mixedGrids(config: ModelConfig, inputs: ModelInputs): (MixedGrid | undefined)[] | undefined {
    let start = 0
    const all = planes(config, inputs)?.flatMap(({ layout, mixed }) => {
      const first = start
      start += layout.tiles
      return Array.from({ length: layout.tiles }, (_, tile) => shifted(mixed[tile], first))
    })
    return all?.some(Boolean) ? all : undefined
  },

  separator(config: ModelConfig): Float32Array {
    const row = newlines.get(config)
    if (!row) throw new ModelError("load the model with loadPruned(model, { tiles: 'anyres' }) for prompts with tiles")
    return row
  },

  dropGrids(config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    const dropped = llava.dropGrids(config, inputs, count)
    if (!inputs['num_tiles']) return dropped
    const tiles = tileCounts(inputs)
    let images = 0
    for (let grids = 0; grids < count;) grids += tiles[images++] as number
    return {
      ...dropped,
      image_sizes: rowsFrom(inputs['image_sizes'] as Tensor, images),
      num_tiles: rowsFrom(inputs['num_tiles'] as Tensor, images),
    }
  },
}

/** Newline rows by the config of the model that they belong to. */
const newlines = new WeakMap<ModelConfig, Float32Array>()

function tileCounts(inputs: ModelInputs): number[] {
  return Array.from((inputs['num_tiles'] as Tensor).data as BigInt64Array, Number)
}

function ones({ pixel_values }: ModelInputs): number[] {
  return Array<number>((pixel_values as Tensor).dims[0] as number).fill(1)
}

/** undefined for prompts of single tiles, as Transformers.js makes them. */
function layoutsOf(config: ModelConfig, inputs: ModelInputs): ImageLayout[] | undefined {
  return planes(config, inputs)?.map(({ layout }) => layout)
}

function planes(config: ModelConfig, inputs: ModelInputs): Plane[] | undefined {
  if (!inputs['num_tiles']) return undefined
  const tile = Number(config.vision_config?.['image_size'])
  const side = Math.floor(tile / Number(config.vision_config?.['patch_size']))
  const maxTiles = Number(/anyres_max_(\d+)/.exec(config.vision_aspect_ratio ?? 'anyres_max_9')?.[1] ?? Infinity)
  const sizes = (inputs['image_sizes'] as Tensor).tolist() as bigint[][]
  return tileCounts(inputs).map((tiles, i) => {
    if (tiles === 1) return { layout: baseAlone(side), mixed: [] }
    const image = (sizes[i] as bigint[]).map(Number) as unknown as Size
    const [height, width] = bestResolution(image, (config.image_grid_pinpoints ?? []) as unknown as readonly Size[])
    return planeOf(image, [height / tile, width / tile], side, maxTiles)
  })
}

/** One of several images in a prompt: its tokens and one newline. */
function baseAlone(side: number): ImageLayout {
  const tokens = Array.from({ length: side * side }, (_, i) => i)
  return { tiles: 1, tokens: Int32Array.from([...tokens, SEPARATOR]) }
}

/** The same grid, its sources counted over all tiles of the call. */
function shifted(mixed: MixedGrid | undefined, first: number): MixedGrid | undefined {
  if (!mixed || first === 0) return mixed
  const tokens = mixed.tokens.map((sources) => sources.map((source) => ({ ...source, tile: source.tile + first })))
  return { ...mixed, tokens }
}
