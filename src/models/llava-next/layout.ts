import { SEPARATOR, type ImageLayout } from '../adapter.js'
import type { Size } from './anyres.js'

/**
 * How tiles stand in the prompt behind the base image. 'spatial' is the paper's: the tiles as one raster grid. 'spatial_unpad'
 * is Hugging Face's: rows and columns of padding are left out, and a newline token ends every row.
 */
export type MergeType = 'spatial' | 'spatial_unpad'

/**
 * @param image Height and width of the picture before scaling.
 * @param tiles Rows and columns of tiles behind the base image.
 * @param side Visual tokens of a tile's side.
 */
export function layoutOf(image: Size, [tileRows, tileColumns]: Size, side: number, merge: MergeType): ImageLayout {
  const [rows, columns] = [tileRows * side, tileColumns * side]
  const [top, left] = merge === 'spatial' ? [0, 0] : padding(image, [rows, columns])
  const tokens = Array.from({ length: side * side }, (_, i) => i)
  for (let row = top; row < rows - top; row++) {
    for (let column = left; column < columns - left; column++) {
      const tile = 1 + Math.floor(row / side) * tileColumns + Math.floor(column / side)
      tokens.push(tile * side * side + (row % side) * side + (column % side))
    }
    if (merge === 'spatial_unpad') tokens.push(SEPARATOR)
  }
  return { tiles: 1 + tileRows * tileColumns, tokens: Int32Array.from(tokens) }
}

/** Rows and columns of tokens on each side that hold padding only (Hugging Face's unpad_image). */
export function padding([height, width]: Size, [rows, columns]: Size): [number, number] {
  const rounded = (value: number) => Math.trunc(Number(value.toFixed(7)))
  if (width / height > columns / rows) return [Math.floor((rows - rounded((height * columns) / width)) / 2), 0]
  return [0, Math.floor((columns - rounded((width * rows) / height)) / 2)]
}
