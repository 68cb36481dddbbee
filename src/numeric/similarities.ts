import { dotProducts } from './dot-products.js'
import type { RowMatrix } from './row-matrix.js'

/** All products of N rows with each other, one row of the N x N matrix at a time. */
export interface Similarities {
  readonly size: number
  /** `[N]` products of row `i` with every row, in a buffer that the next call may overwrite. */
  row(i: number): Float32Array
}

/** Matrices up to this many entries (64 MiB as float32) are kept; of larger ones only the asked row exists. */
const MAX_KEPT_ENTRIES = 16 * 1024 * 1024

export function similarities(matrix: RowMatrix): Similarities {
  const size = matrix.numRows
  return size * size <= MAX_KEPT_ENTRIES ? keptRows(matrix) : computedRows(matrix)
}

function keptRows(matrix: RowMatrix): Similarities {
  const size = matrix.numRows
  const all = new Float32Array(size * size)
  for (let i = 0; i < size; i++) dotProducts(matrix, i, matrix, 0, size, all.subarray(i * size))
  return { size, row: (i) => all.subarray(i * size, (i + 1) * size) }
}

function computedRows(matrix: RowMatrix): Similarities {
  const size = matrix.numRows
  const products = new Float32Array(size)
  return {
    size,
    row(i) {
      dotProducts(matrix, i, matrix, 0, size, products)
      return products
    },
  }
}
