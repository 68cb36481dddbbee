import { CLIPImageProcessor, Processor, Tensor, cat, type RawImage } from '@huggingface/transformers'
import { ModelError } from '../../errors.js'
import { framesOf, isVideo, type Visual } from '../../image/index.js'
import type { ModelSource } from '../encoder-file.js'
import { readProcessorParts } from '../processor-files.js'
import { resizeBicubic } from '../resize.js'
import type { ResolvedSource } from '../source.js'
import type { ModelInputs } from '../transformers.js'

/** Scales the shorter side as Pillow does and cuts the middle out, each frame by itself. */
class FrameProcessor extends CLIPImageProcessor {
  override async resize(image: RawImage): Promise<RawImage> {
    const { shortest_edge } = this.size as { shortest_edge: number }
    const { width, height } = image
    const long = Math.trunc((shortest_edge * Math.max(width, height)) / Math.min(width, height))
    return await resizeBicubic(image, width > height ? long : shortest_edge, width > height ? shortest_edge : long)
  }
}

/** What the processor has to know of its model. */
export interface VideoLlavaFacts {
  readonly imageTokenId: number
  readonly videoTokenId: number
  /** Placeholders of each image and video of a prompt. */
  counts(inputs: ModelInputs): number[]
}

/**
 * `processor(visuals, text)`: images and videos in the order in which `<image>` and `<video>` stand in the text. Returns
 * `pixel_values` float32 `[images + frames, 3, H, W]` in that order and `num_frames` int64 `[visuals]`, 0 for an image.
 */
export class VideoLlavaProcessor extends Processor {
  facts: VideoLlavaFacts | undefined

  override async _call(visuals: Visual | readonly Visual[], text: string | null = null): Promise<unknown> {
    const list = (Array.isArray(visuals) ? visuals : [visuals]) as readonly Visual[]
    const pixels = await this.pixels(list)
    return text === null ? pixels : { ...pixels, ...(this.tokenizer?.(this.expand(list, pixels, text)) as object) }
  }

  /** The pixels alone. */
  async pixels(visuals: readonly Visual[]): Promise<Partial<ModelInputs>> {
    const frames = visuals.map((visual) => (isVideo(visual) ? framesOf(visual) : [visual]))
    const parts: Tensor[] = []
    for (const frame of frames.flat()) {
      const { pixel_values } = (await this.image_processor?.([frame] as never)) as { pixel_values: Tensor }
      parts.push(pixel_values)
    }
    const num_frames = frameTensor(visuals.map((visual, i) => (isVideo(visual) ? (frames[i] as RawImage[]).length : 0)))
    return { pixel_values: cat(parts, 0), num_frames }
  }

  /** @throws ModelError when the text's placeholders are not those of the images and videos, in their order. */
  private expand(visuals: readonly Visual[], pixels: Partial<ModelInputs>, text: string): string {
    const { imageTokenId, videoTokenId, counts } = this.facts as VideoLlavaFacts
    const spelled = (id: number) => this.tokenizer?.decode([id], { skip_special_tokens: false }) as string
    const names = { image: spelled(imageTokenId), video: spelled(videoTokenId) }
    const wanted = visuals.map((visual) => (isVideo(visual) ? names.video : names.image))
    const pieces = text.split(new RegExp(`(${escaped(names.image)}|${escaped(names.video)})`))
    const found = pieces.filter((_, i) => i % 2 === 1)
    if (found.join() !== wanted.join())
      throw new ModelError(
        `the text has the placeholders ${found.join(' ') || 'none'}, but was given ${wanted.join(' ') || 'nothing'}: write one for each image and video, in their order`,
      )
    const numbers = counts(pixels as ModelInputs)
    return pieces.map((piece, i) => (i % 2 === 1 ? piece.repeat(numbers[(i - 1) / 2] as number) : piece)).join('')
  }
}

/** int64 `[items]`: frames of each video of a prompt, 0 for a still image. */
export function frameTensor(frames: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(frames, BigInt), [frames.length])
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Builds the processor from the model's files; the library's AutoProcessor refuses this image processor by name. */
export async function loadVideoLlavaProcessor(
  source: ResolvedSource,
  files: ModelSource,
  loading: object,
  facts: VideoLlavaFacts,
): Promise<Processor> {
  const parts = await readProcessorParts(source, files, loading)
  const config = parts.config as { size?: { shortest_edge?: number } }
  if (!config.size?.shortest_edge) throw new ModelError('preprocessor_config.json has no size.shortest_edge')
  const components = { tokenizer: parts.tokenizer, image_processor: new FrameProcessor(config as never) }
  const processor = new VideoLlavaProcessor({}, components as never, null as never)
  processor.facts = facts
  return processor
}
