import type { RawImage } from '@huggingface/transformers'
import { ArgumentError, ModelError } from '../errors.js'
import { framesOf, isVideo, sampleFrames, type Visual } from '../image/index.js'
import { adapterFor, type ModelAdapter, type ModelConfig } from '../models/index.js'

/**
 * Images and videos as the model's family takes them: videos are sampled to its number of frames and go in whole, or as that
 * many images.
 *
 * @param frames Frames to take of each video. Default: what the family takes.
 * @throws ModelError for a video and a family that takes one image a prompt; ArgumentError for frames that do not fit.
 */
export function visualsFor(
  adapter: ModelAdapter,
  config: ModelConfig,
  visuals: readonly Visual[],
  frames?: number,
): Visual[] {
  if (frames !== undefined && (!Number.isSafeInteger(frames) || frames < 1))
    throw new ArgumentError('frames', frames, 'an integer from 1')
  return visuals.flatMap((visual): Visual[] => {
    if (!isVideo(visual)) return [visual]
    const support = videoSupport(adapter, config)
    const all = framesOf(visual)
    const taken = sampleFrames(all.length, frames ?? support.frames).map((i) => all[i] as RawImage)
    if (support.oneSize) checkOneSize(taken)
    return support.as === 'images' ? taken : [{ frames: taken }]
  })
}

/**
 * How many frames of a video a model takes when it is not told.
 *
 * @throws ModelError for a family that takes one image a prompt.
 */
export function videoFrames(model: { readonly config: unknown }): number {
  const config = model.config as ModelConfig
  return videoSupport(adapterFor(config), config).frames
}

function videoSupport(adapter: ModelAdapter, config: ModelConfig) {
  const support = adapter.video?.(config)
  if (support) return support
  throw new ModelError(
    `model_type "${config.model_type}" takes images only, so it cannot be asked about a video ` +
      '(videos: video_llava, qwen2_vl, qwen2_5_vl; as several images: llava_onevision, idefics3, smolvlm)',
  )
}

function checkOneSize(frames: readonly RawImage[]): void {
  const sizes = new Set(frames.map(({ width, height }) => `${width} x ${height}`))
  if (sizes.size > 1)
    throw new ArgumentError('frames', [...sizes].slice(0, 2).join(' and '), 'frames of one size for this model')
}
