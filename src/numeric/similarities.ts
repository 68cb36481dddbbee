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

/** `[N, N]` products of all pairs, row-major. */
export function allProducts(arena: Arena, rows: Rows): Float32Array {
  const size = rows.numRows
  const all = new Float32Array(size * size)
  visitPairs(arena, rows, (i, from, products) => {
    all.set(products, i * size + from)
    for (let k = 0; k < products.length; k++) all[(from + k) * size + i] = products[k] as number
  })
  return all
}
