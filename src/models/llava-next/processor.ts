import { CLIPImageProcessor, Processor, Tensor, cat, type RawImage } from '@huggingface/transformers'
import { ModelError } from '../../errors.js'
import { readProcessorParts } from '../processor-files.js'
import type { ResolvedSource } from '../source.js'
import type { ModelInputs } from '../transformers.js'
import type { ModelSource } from '../encoder-file.js'
import { anyresTiles, type Size } from './anyres.js'

/** The image processor that Transformers.js does not have: base image and tiles of every picture. */
export class LlavaNextImageProcessor extends CLIPImageProcessor {
  /** @returns `pixel_values` `[tiles of all images, 3, H, W]` and `image_sizes` int64 `[images, 2]`, height and width. */
  override async _call(images: RawImage | RawImage[]): Promise<never> {
    const list = Array.isArray(images) ? images : [images]
    const { image_grid_pinpoints: pinpoints, crop_size } = this.config as unknown as PinpointConfig
    const parts: Tensor[] = []
    for (const image of list) {
      const tiles = await anyresTiles(image.rgb(), pinpoints, crop_size.height)
      const { pixel_values } = (await super._call(tiles)) as { pixel_values: Tensor }
      parts.push(pixel_values)
    }
    const sizes = list.flatMap(({ height, width }) => [BigInt(height), BigInt(width)])
    const image_sizes = new Tensor('int64', BigInt64Array.from(sizes), [list.length, 2])
    return { pixel_values: cat(parts, 0), image_sizes } as never
  }
}

export interface PinpointConfig {
  readonly image_grid_pinpoints: readonly Size[]
  readonly crop_size: { readonly height: number }
}

/** Image in, prompt with its placeholders written out: `processor(images, text)` as for the other LLaVA models. */
export class LlavaNextProcessor extends Processor {
  /** Set by {@link loadLlavaNextProcessor}: the model's own count of placeholders for these images. */
  expand: (inputs: ModelInputs, text: string) => string = (_inputs, text) => text

  override async _call(images: RawImage | RawImage[], text: string | null = null): Promise<unknown> {
    const pixels = (await this.image_processor?.(images as never)) as ModelInputs
    return text === null ? pixels : { ...pixels, ...(this.tokenizer?.(this.expand(pixels, text)) as object) }
  }
}

/** Builds the processor from the model's files; the library's AutoProcessor refuses this image processor by name. */
export async function loadLlavaNextProcessor(
  source: ResolvedSource,
  files: ModelSource,
  loading: object,
  expand: LlavaNextProcessor['expand'],
): Promise<Processor> {
  const parts = await readProcessorParts(source, files, loading)
  const config = parts.config as PinpointConfig
  if (!config.image_grid_pinpoints?.length) throw new ModelError('preprocessor_config.json has no image_grid_pinpoints')
  const components = { tokenizer: parts.tokenizer, image_processor: new LlavaNextImageProcessor(config as never) }
  const processor = new LlavaNextProcessor({}, components as never, null as never)
  processor.expand = expand
  return processor
}

/** Placeholders of each image, in the order of the text. */
export function expandPlaceholders(text: string, placeholder: string, counts: readonly number[]): string {
  let next = 0
  return text.replaceAll(placeholder, () => placeholder.repeat(counts[next++] ?? 1))
}
