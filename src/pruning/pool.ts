import { asFloat32 } from '../numeric/rows.js'
import { checkInput } from './input.js'
import type { PatchGrid, Pruner } from './types.js'

/**
 * Average pooling to exactly K rows: the grid is cut into K near-equal rectangles, and each becomes the mean of its tokens'
 * features, at the place of the token in its middle. The stand-in for a smaller image where the encoder's resolution is
 * fixed: a control that several published methods do not beat.
 *
 * O(N D). No original.
 */
export function pool(): Pruner {
  const needs = ['features'] as const
  return {
    name: 'pool',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const features = asFloat32(input.features as ArrayLike<number>)
      const width = features.length / numTokens
      const cells = gridCells(input.grid, keep)
      const rows = new Float32Array(keep * width)
      cells.forEach((cell, i) =>
        writeMean(rows.subarray(i * width, (i + 1) * width), features, cell, input.grid.columns),
      )
      const kept = Uint32Array.from(cells, (cell) => middle(cell, input.grid.columns))
      return { kept, roles: new Uint8Array(keep), rows }
    },
  }
}

/** Rows `top` to `bottom` and columns `left` to `right` of the grid, the ends not included. */
export interface GridCell {
  readonly top: number
  readonly bottom: number
  readonly left: number
  readonly right: number
}

/** Exactly `keep` rectangles, 1 to N, that cover the grid without overlap: bands of rows, each cut into columns. */
export function gridCells({ rows, columns }: PatchGrid, keep: number): GridCell[] {
  const square = Math.round(Math.sqrt((keep * rows) / columns))
  const bands = Math.min(rows, keep, Math.max(Math.ceil(keep / columns), square))
  const cells: GridCell[] = []
  for (let band = 0; band < bands; band++) {
    const [top, bottom] = part(band, bands, rows)
    const [first, last] = part(band, bands, keep)
    for (let i = 0; i < last - first; i++) {
      const [left, right] = part(i, last - first, columns)
      cells.push({ top, bottom, left, right })
    }
  }
  return cells
}

/** Start and end of part `i` when `length` is split into `parts` near-equal whole parts. */
function part(i: number, parts: number, length: number): [start: number, end: number] {
  return [Math.floor((i * length) / parts), Math.floor(((i + 1) * length) / parts)]
}

/** Of an even number of rows or columns, the upper or left one of the middle two. */
function middle({ top, bottom, left, right }: GridCell, columns: number): number {
  return ((top + bottom - 1) >> 1) * columns + ((left + right - 1) >> 1)
}

/** Writes the mean of the cell's rows to `mean`, which starts as zeros. */
function writeMean(mean: Float32Array, features: Float32Array, cell: GridCell, columns: number): void {
  const width = mean.length
  for (let row = cell.top; row < cell.bottom; row++) {
    for (let from = (row * columns + cell.left) * width; from < (row * columns + cell.right) * width; from += width) {
      for (let d = 0; d < width; d++) mean[d] = (mean[d] as number) + (features[from + d] as number)
    }
  }
  const scale = 1 / ((cell.bottom - cell.top) * (cell.right - cell.left))
  for (let d = 0; d < width; d++) mean[d] = (mean[d] as number) * scale
}
