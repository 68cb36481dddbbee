import type { ObjectMask } from './masks.js'

/**
 * Paints every pixel whose centre lies inside a polygon (even-odd rule).
 *
 * @param corners x0, y0, x1, y1, ... in pixels of the mask.
 */
export function paintPolygon(corners: readonly number[], mask: ObjectMask): void {
  for (let y = 0; y < mask.height; y++) {
    const crossings = crossingsOf(corners, y + 0.5)
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil((crossings[i] as number) - 0.5))
      const to = Math.min(mask.width, Math.ceil((crossings[i + 1] as number) - 0.5))
      if (to > from) mask.data.fill(1, y * mask.width + from, y * mask.width + to)
    }
  }
}

/** Where a horizontal line crosses the polygon's edges, from left to right. */
function crossingsOf(corners: readonly number[], y: number): number[] {
  const crossings: number[] = []
  let [x0, y0] = [corners.at(-2) as number, corners.at(-1) as number]
  for (let i = 0; i < corners.length; i += 2) {
    const [x1, y1] = [corners[i] as number, corners[i + 1] as number]
    // Half open, so that a corner on the line counts once.
    if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0))
    ;[x0, y0] = [x1, y1]
  }
  return crossings.sort((a, b) => a - b)
}
