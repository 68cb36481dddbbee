import type { RowMatrix } from './row-matrix.js'

/**
 * Products of one row with a run of rows: `out[i] = a[row] . b[from + i]` for i below `count`. Every product is summed in
 * the same order, so equal rows give equal products, and ties stay ties.
 */
export function dotProducts(
  a: RowMatrix,
  row: number,
  b: RowMatrix,
  from: number,
  count: number,
  out: Float32Array,
): void {
  const { width } = a
  const left = a.values
  const right = b.values
  const start = row * width
  for (let i = 0; i < count; i++) {
    let offset = (from + i) * width
    let sum = 0
    for (let d = start; d < start + width; d++) sum += (left[d] as number) * (right[offset++] as number)
    out[i] = sum
  }
}
