import { CLIPImageProcessor, Processor, Tensor, cat, type RawImage } from '@huggingface/transformers'
import { ModelError } from '../../errors.js'
import type { ModelSource } from '../encoder-file.js'
import { anyresTiles, type Size } from '../llava-next/anyres.js'
import { expandPlaceholders } from '../llava-next/processor.js'
import { readProcessorParts } from '../processor-files.js'
import { resizeBicubic } from '../resize.js'
import type { ResolvedSource } from '../source.js'
import type { ModelInputs } from '../transformers.js'

interface OnevisionConfig {
  readonly size: { readonly height: number; readonly width: number }
  readonly image_grid_pinpoints?: readonly Size[]
}

/**
 * `processor(images, text)`: `pixel_values` float32 `[tiles of all images, 3, H, W]`; with tiles 'anyres' also `image_sizes`
 * int64 `[images, 2]`, height and width, and `num_tiles` int64 `[images]`, base image included. Several images in one prompt
 * are one tile each, as in training.
 */
export class LlavaOnevisionProcessor extends Processor {
  anyres = false
  placeholder = '<image>'
  /** Placeholders of each image. */
  counts: (inputs: ModelInputs) => number[] = () => []

  override async _call(images: RawImage | readonly RawImage[], text: string | null = null): Promise<unknown> {
    const pixels = await this.pixels(Array.isArray(images) ? (images as RawImage[]) : [images as RawImage])
    if (text === null) return pixels
    const expanded = expandPlaceholders(text, this.placeholder, this.counts(pixels as ModelInputs))
    return { ...pixels, ...(this.tokenizer?.(expanded) as object) }
  }

  /** The pixels alone. */
  async pixels(images: readonly RawImage[]): Promise<Partial<ModelInputs>> {
    const { size, image_grid_pinpoints } = this.image_processor?.config as unknown as OnevisionConfig
    const tiled = this.anyres && images.length === 1
    const parts: Tensor[] = []
    for (const image of images) {
      const tiles = tiled
        ? await anyresTiles(image.rgb(), image_grid_pinpoints as readonly Size[], size.height)
        : [await resizeBicubic(image.rgb(), size.width, size.height)]
      parts.push(((await this.image_processor?.(tiles as never)) as { pixel_values: Tensor }).pixel_values)
    }
    const pixel_values = cat(parts, 0)
    if (!this.anyres) return { pixel_values }
    const int64 = (values: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
    return {
      pixel_values,
      image_sizes: int64(images.flatMap(({ height, width }) => [height, width]), [images.length, 2]), // prettier-ignore
      num_tiles: int64(parts.map(({ dims }) => dims[0] as number), [images.length]), // prettier-ignore
    }
  }
}

/** Builds the processor from the model's files; the library has none of this name. */
export async function loadLlavaOnevisionProcessor(
  source: ResolvedSource,
  files: ModelSource,
  loading: object,
): Promise<LlavaOnevisionProcessor> {
  const parts = await readProcessorParts(source, files, loading)
  const config = parts.config as Partial<OnevisionConfig>
  if (!config.size?.height) throw new ModelError('preprocessor_config.json has no size.height')
  const components = { tokenizer: parts.tokenizer, image_processor: new CLIPImageProcessor(config as never) }
  return new LlavaOnevisionProcessor({}, components as never, null as never)
}
