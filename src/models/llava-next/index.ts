import type { Processor, RawImage, Tensor } from '@huggingface/transformers'
import { ModelError } from '../../errors.js'
import type { PatchGrid } from '../../pruning/index.js'
import type { ImageLayout, ModelAdapter } from '../adapter.js'
import { findModelFile, type ModelSource } from '../encoder-file.js'
import { imageProcessorOf, imageTokenId, llava, rowsFrom } from '../llava.js'
import type { ResolvedSource } from '../source.js'
import type { ModelConfig, ModelInputs } from '../transformers.js'
import { bestResolution, type Size } from './anyres.js'
import { layoutOf, type MergeType } from './layout.js'
import { expandPlaceholders, loadLlavaNextProcessor } from './processor.js'

/**
 * LLaVA-NeXT: a base image and up to four or more tiles of a higher resolution. Transformers.js has neither class nor
 * processor; its LLaVA class runs the same three sessions, the processor is ours. The newline token, where the model folder
 * ships it as `image_newline.f32.bin`, ends every row of tiles and is never pruned.
 */
export const llavaNext: ModelAdapter = {
  ...llava,
  family: 'llava-next',
  modelTypes: ['llava_next'],
  loadAs: 'llava',
  inputNames: ['image_sizes'],

  async preprocess(processor: Processor, images: readonly RawImage[]): Promise<Partial<ModelInputs>> {
    return (await imageProcessorOf(processor)([...images])) as Partial<ModelInputs>
  },

  async prompt(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs> {
    const call = processor as unknown as (images: RawImage[], text: string) => Promise<ModelInputs>
    return await call([...images], text)
  },

  async loadProcessor(
    source: ResolvedSource,
    files: ModelSource,
    loading: object,
    config: ModelConfig,
  ): Promise<Processor> {
    const newline = await findModelFile({ ...files, subfolder: '' }, 'image_newline.f32.bin')
    if (newline) newlines.set(config, new Float32Array(newline.bytes.slice().buffer))
    const processor: Processor = await loadLlavaNextProcessor(source, files, loading, (inputs, text) => {
      const placeholder = processor.tokenizer?.decode([imageTokenId(config)], { skip_special_tokens: false }) as string
      return expandPlaceholders(
        text,
        placeholder,
        layouts(config, inputs).map(({ tokens }) => tokens.length),
      )
    })
    return processor
  },

  grids: (config: ModelConfig, inputs: ModelInputs): PatchGrid[] => llava.grids(config, inputs),
  tilesPerImage: (config, inputs) => layouts(config, inputs).map(({ tiles }) => tiles),
  layouts,

  separator(config: ModelConfig): Float32Array {
    const row = newlines.get(config)
    if (!row) throw new ModelError('this model folder has no image_newline.f32.bin')
    return row
  },

  dropGrids(config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    let images = 0
    for (let tiles = 0; tiles < count; images++) tiles += (layouts(config, inputs)[images] as ImageLayout).tiles
    return {
      ...inputs,
      pixel_values: rowsFrom(inputs.pixel_values as Tensor, count),
      image_sizes: rowsFrom(inputs['image_sizes'] as Tensor, images),
    }
  },
}

/** Newline rows by the config of the model that they belong to. */
const newlines = new WeakMap<ModelConfig, Float32Array>()

function layouts(config: ModelConfig, inputs: ModelInputs): ImageLayout[] {
  const tile = Number(config.vision_config?.['image_size'])
  const side = Math.floor(tile / Number(config.vision_config?.['patch_size']))
  const merge: MergeType = newlines.has(config) ? 'spatial_unpad' : 'spatial'
  return ((inputs['image_sizes'] as Tensor).tolist() as bigint[][]).map((size) => {
    const image = size.map(Number) as unknown as Size
    const [height, width] = bestResolution(image, (config.image_grid_pinpoints ?? []) as unknown as readonly Size[])
    return layoutOf(image, [height / tile, width / tile], side, config.mm_patch_merge_type ?? merge)
  })
}
