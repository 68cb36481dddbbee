import type { RawImage } from '@huggingface/transformers'
import { resizeBicubic } from '../resize.js'

/** Height and width. */
export type Size = readonly [number, number]

/**
 * The resolution among `pinpoints` that keeps most of the picture's pixels and, of those, wastes least on padding
 * (LLaVA-NeXT's select_best_resolution).
 */
export function bestResolution([height, width]: Size, pinpoints: readonly Size[]): Size {
  let best = pinpoints[0] as Size
  let [bestKept, bestWasted] = [-1, Infinity]
  for (const pinpoint of pinpoints) {
    const scale = Math.min(pinpoint[1] / width, pinpoint[0] / height)
    const kept = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height)
    const wasted = pinpoint[0] * pinpoint[1] - kept
    if (kept > bestKept || (kept === bestKept && wasted < bestWasted))
      [best, bestKept, bestWasted] = [pinpoint, kept, wasted]
  }
  return best
}

/**
 * The base image, squeezed to a square, and then the tiles of the picture scaled into its best resolution and padded with
 * black on both sides, in raster order.
 *
 * @param side Pixels of a tile's side.
 */
export async function anyresTiles(image: RawImage, pinpoints: readonly Size[], side: number): Promise<RawImage[]> {
  const [height, width] = bestResolution([image.height, image.width], pinpoints)
  const fitted = await fitInto(image, [height, width])
  const tiles = [await resizeBicubic(image, side, side)]
  for (let y = 0; y < height; y += side) {
    for (let x = 0; x < width; x += side) tiles.push(await fitted.clone().crop([x, y, x + side - 1, y + side - 1]))
  }
  return tiles
}

async function fitInto(image: RawImage, [height, width]: Size): Promise<RawImage> {
  const [scaleX, scaleY] = [width / image.width, height / image.height]
  const newWidth = scaleX < scaleY ? width : Math.min(Math.ceil(image.width * scaleY), width)
  const newHeight = scaleX < scaleY ? Math.min(Math.ceil(image.height * scaleX), height) : height
  const scaled = await resizeBicubic(image, newWidth, newHeight)
  const [left, top] = [Math.floor((width - newWidth) / 2), Math.floor((height - newHeight) / 2)]
  return await scaled.pad([left, width - newWidth - left, top, height - newHeight - top])
}
