import type { Processor } from '@huggingface/transformers'
import type { Region } from '../image/index.js'

interface ResizeConfig {
  readonly do_center_crop?: boolean
  readonly crop_size?: { readonly height: number; readonly width: number }
  readonly size?: { readonly shortest_edge?: number }
}

/**
 * The part of a picture that the model sees: CLIP's processor scales the shorter side and cuts the middle out, others
 * squeeze the whole picture.
 *
 * @returns In pixels of the picture.
 */
export function seenRegion(processor: Processor, { width, height }: { width: number; height: number }): Region {
  const { do_center_crop, crop_size, size } = (processor.image_processor?.config ?? {}) as ResizeConfig
  if (!do_center_crop || !crop_size || !size?.shortest_edge) return { x: 0, y: 0, width, height }
  const scale = Math.min(width, height) / size.shortest_edge
  const seen = { width: Math.min(width, crop_size.width * scale), height: Math.min(height, crop_size.height * scale) }
  return { x: (width - seen.width) / 2, y: (height - seen.height) / 2, ...seen }
}
