import { RawImage } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'

/**
 * A video as its decoded frames in order. What `load_video` of Transformers.js returns is one, as is `{ frames: images }`.
 */
export interface Video {
  readonly frames: readonly (RawImage | { readonly image: RawImage })[]
}

/** What stands at one place of a prompt. */
export type Visual = RawImage | Video

export function isVideo(visual: Visual): visual is Video {
  return !(visual instanceof RawImage)
}

/** @throws ArgumentError for a video without frames. */
export function framesOf({ frames }: Video): RawImage[] {
  if (!Array.isArray(frames) || frames.length === 0)
    throw new ArgumentError('frames', frames, 'a list of at least one decoded frame')
  return (frames as Video['frames']).map((frame) => (frame instanceof RawImage ? frame : frame.image))
}

/**
 * Frames at equal distances, the first one of each of `count` equal stretches, as Hugging Face samples them for Video-LLaVA:
 * floor(i * total / count). A shorter video is taken whole: no frame twice.
 *
 * @throws ArgumentError when either number is not an integer from 1.
 */
export function sampleFrames(total: number, count: number): number[] {
  for (const [name, value] of Object.entries({ total, count })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError(name, value, 'an integer from 1')
  }
  const taken = Math.min(total, count)
  return Array.from({ length: taken }, (_, i) => Math.floor((i * total) / taken))
}
