import type { PatchGrid } from './types.js'

/** Which neighbours of an anchor are its buffers. */
export type BufferShape = 'cross' | 'square' | 'diagonal' | 'row' | 'column' | 'none'

/**
 * What happens at the borders of the grid: 'grid' keeps neighbours on it; 'clamp' is the paper's public code, which
 * moves on the flat index and clamps it, so that rows wrap and the first and last token attract.
 */
export type BorderRule = 'grid' | 'clamp'

/** Per shape the (row, column) steps, in ascending order of the flat index; every shape is symmetric. */
export const bufferSteps: Readonly<Record<BufferShape, readonly (readonly [number, number])[]>> = {
  // prettier-ignore
  square: [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]],
  // prettier-ignore
  cross: [[-1, 0], [0, -1], [0, 1], [1, 0]],
  // prettier-ignore
  diagonal: [[-1, -1], [-1, 1], [1, -1], [1, 1]],
  // prettier-ignore
  row: [[0, -1], [0, 1]],
  // prettier-ignore
  column: [[-1, 0], [1, 0]],
  none: [],
}

export const bufferShapes = Object.keys(bufferSteps) as readonly BufferShape[]

/** b of SPEC 2: buffers of an anchor away from the borders. */
export function buffersPerAnchor(shape: BufferShape): number {
  return bufferSteps[shape].length
}

/** Flat indices of an anchor's buffers, ascending. */
export function buffersOf(anchor: number, grid: PatchGrid, shape: BufferShape, borders: BorderRule): number[] {
  const { rows, columns } = grid
  if (borders === 'clamp') {
    const last = rows * columns - 1
    return bufferSteps[shape].map(([down, right]) => Math.min(Math.max(anchor + down * columns + right, 0), last))
  }
  const row = Math.floor(anchor / columns)
  const column = anchor % columns
  const inside = bufferSteps[shape].filter(([down, right]) => {
    return row + down >= 0 && row + down < rows && column + right >= 0 && column + right < columns
  })
  return inside.map(([down, right]) => anchor + down * columns + right)
}
