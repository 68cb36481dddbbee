import type { Region } from '../image/index.js'
import type { PatchGrid } from '../pruning/index.js'

/** Which pixels of an image belong to an object. */
export interface ObjectMask {
  readonly width: number
  readonly height: number
  /** Row-major `[height, width]`, 0 for background. */
  readonly data: Uint8Array
}

/** A token is an object token when at least this share of its cell is covered (SPEC 6). */
const MIN_COVERED = 0.5

/**
 * Share of each token's cell that the mask covers. Exact also where cells and pixels do not line up: a pixel that a cell's
 * border cuts counts with the part inside.
 *
 * @param region The part of the image that the encoder sees, in its pixels.
 * @returns `[N]` from 0 to 1.
 */
export function tokenCoverage(mask: ObjectMask, region: Region, grid: PatchGrid): Float64Array {
  const inside = summedArea(mask)
  const cellWidth = region.width / grid.columns
  const cellHeight = region.height / grid.rows
  return Float64Array.from({ length: grid.rows * grid.columns }, (_, token) => {
    const left = region.x + (token % grid.columns) * cellWidth
    const top = region.y + Math.floor(token / grid.columns) * cellHeight
    const corners = [
      areaBefore(inside, mask, left + cellWidth, top + cellHeight),
      areaBefore(inside, mask, left, top + cellHeight),
      areaBefore(inside, mask, left + cellWidth, top),
      areaBefore(inside, mask, left, top),
    ] as const
    return (corners[0] - corners[1] - corners[2] + corners[3]) / (cellWidth * cellHeight)
  })
}

/** `[N]` 1 for each object token. */
export function objectTokens(mask: ObjectMask, region: Region, grid: PatchGrid): Uint8Array {
  // The sums' last digits must not decide about a cell that is covered by exactly one half.
  return Uint8Array.from(tokenCoverage(mask, region, grid), (covered) => (covered >= MIN_COVERED - 1e-9 ? 1 : 0))
}

/** Summed-area table `[height + 1, width + 1]`: object pixels above and left of each pixel corner. */
function summedArea({ width, height, data }: ObjectMask): Float64Array {
  const sums = new Float64Array((width + 1) * (height + 1))
  for (let y = 0; y < height; y++) {
    let row = 0
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] !== 0) row++
      sums[(y + 1) * (width + 1) + x + 1] = (sums[y * (width + 1) + x + 1] as number) + row
    }
  }
  return sums
}

/** Object area above and left of a point: linear between pixel corners. */
function areaBefore(sums: Float64Array, { width, height }: ObjectMask, x: number, y: number): number {
  const [column, row] = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)]
  const [x0, y0] = [Math.min(Math.floor(column), width - 1), Math.min(Math.floor(row), height - 1)]
  const [right, down] = [column - x0, row - y0]
  const at = (dx: number, dy: number) => sums[(y0 + dy) * (width + 1) + x0 + dx] as number
  const upper = at(0, 0) * (1 - right) + at(1, 0) * right
  const lower = at(0, 1) * (1 - right) + at(1, 1) * right
  return upper * (1 - down) + lower * down
}
