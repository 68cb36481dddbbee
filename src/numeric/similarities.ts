import { rowOf, type Arena, type Rows } from './arena.js'

/** Most floats of a block of products. */
const MAX_BLOCK = 8192

/** Floats of an arena that {@link visitPairs} takes. */
export const floatsOfVisit = (): number => MAX_BLOCK

/**
 * Visits the product of every pair of rows once, blocked so that a block of rows stays in the core's second-level cache while
 * all rows before it pass by. O(N^2 D) time, O(1) memory.
 *
 * @param visit Gets a row `i` and the products of `i` with the rows `from`, `from + 1`, ..., all of them `i` or later; the
 *   buffer is overwritten by the next visit.
 */
export function visitPairs(arena: Arena, rows: Rows, visit: (i: number, from: number, products: Float32Array) => void) {
  const { numRows, width } = rows
  const blockRows = Math.min(MAX_BLOCK, numRows, Math.max(8, Math.floor(65_536 / width)))
  const buffer = arena.floats(blockRows)
  for (let block = 0; block < numRows; block += blockRows) {
    const end = Math.min(numRows, block + blockRows)
    for (let i = 0; i < end; i++) {
      const from = Math.max(i, block)
      const products = buffer.subarray(0, end - from)
      arena.dots(rowOf(rows, i), rows, from, end - from, products)
      visit(i, from, products)
    }
  }
}

/** `[N]` the largest product of each row with any other row; -Infinity if there is no other. */
export function nearestOthers(arena: Arena, rows: Rows): Float32Array {
  const nearest = new Float32Array(rows.numRows).fill(-Infinity)
  visitPairs(arena, rows, (i, from, products) => {
    let best = nearest[i] as number
    for (let k = from === i ? 1 : 0; k < products.length; k++) {
      const product = products[k] as number
      if (product > best) best = product
      if (product > (nearest[from + k] as number)) nearest[from + k] = product
    }
    nearest[i] = best
  })
  return nearest
}

/** Up to this many rows a matrix of all products is kept in float32 (64 MiB). */
const MAX_FLOAT_ROWS = 4096

/** `[N, N]` products of all pairs, row-major: float32, or 16-bit fixed point in steps of 1/65535. */
export type Products = Float32Array | Uint16Array

/**
 * Products of all pairs of unit rows, negative ones as 0. Of more than 4096 rows they are rounded to 16 bits, so that 11,664
 * take 272 MB; all values then have the same factor of 65535.
 */
export function positiveProducts(arena: Arena, rows: Rows): Products {
  return rows.numRows <= MAX_FLOAT_ROWS ? floatProducts(arena, rows) : fixedPointProducts(arena, rows)
}

function floatProducts(arena: Arena, rows: Rows): Float32Array {
  const size = rows.numRows
  const all = new Float32Array(size * size)
  visitPairs(arena, rows, (i, from, products) => {
    for (let k = 0; k < products.length; k++) {
      const product = Math.max(0, products[k] as number)
      all[i * size + from + k] = product
      all[(from + k) * size + i] = product
    }
  })
  return all
}

export function fixedPointProducts(arena: Arena, rows: Rows): Uint16Array {
  const size = rows.numRows
  const all = new Uint16Array(size * size)
  visitPairs(arena, rows, (i, from, products) => {
    for (let k = 0; k < products.length; k++) {
      const rounded = (65_535 * (products[k] as number) + 0.5) | 0
      const product = rounded < 0 ? 0 : rounded > 65_535 ? 65_535 : rounded
      all[i * size + from + k] = product
      all[(from + k) * size + i] = product
    }
  })
  return all
}
