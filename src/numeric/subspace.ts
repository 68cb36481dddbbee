import { floatsOfRows, rowOf, type Arena, type Rows } from './arena.js'
import { seededRandom } from './random.js'
import { sumOfSquares } from './rows.js'

/** Rounds of subspace iteration. The error shrinks by (next / last kept eigenvalue) in each. */
const ROUNDS = 6

/** Subtracts the mean of the rows from each of them, in place. */
export function centreRows({ values, numRows, width }: Rows): void {
  const mean = new Float64Array(width)
  for (let start = 0; start < values.length; start += width) {
    for (let d = 0; d < width; d++) mean[d] = (mean[d] as number) + (values[start + d] as number)
  }
  for (let start = 0; start < values.length; start += width) {
    for (let d = 0; d < width; d++) values[start + d] = (values[start + d] as number) - (mean[d] as number) / numRows
  }
}

/** Floats of an arena that {@link dominantSubspace} takes. */
export function floatsOfSubspace(width: number, rank: number): number {
  return floatsOfRows(2 * rank, width) + BLOCK_ROWS
}

/** A block of rows stays in the cache while all basis vectors pass by. */
const BLOCK_ROWS = 32

/**
 * Orthonormal rows that span about the `rank` leading eigenvectors of `X^T X`, by subspace iteration from a fixed seed, so
 * that equal rows give an equal basis. O(N D rank) a round.
 */
export function dominantSubspace(arena: Arena, rows: Rows, size: number, rank: number): Rows {
  let basis = arena.rows(rank, rows.width)
  let image = arena.rows(rank, rows.width)
  const products = arena.floats(BLOCK_ROWS)
  fillRandom(basis, size)
  orthonormalise(basis)
  for (let round = 0; round < ROUNDS; round++) {
    multiplyByCovariance(arena, rows, basis, image, products)
    orthonormalise(image)
    ;[basis, image] = [image, basis]
  }
  return basis
}

/** `[N]` squared lengths of what the rows have outside of the basis's span; never below 0. */
export function squaredResiduals(arena: Arena, rows: Rows, basis: Rows): Float64Array {
  const residuals = new Float64Array(rows.numRows)
  const products = arena.floats(basis.numRows)
  for (let i = 0; i < rows.numRows; i++) {
    const row = rowOf(rows, i)
    arena.dots(row, basis, 0, basis.numRows, products)
    residuals[i] = Math.max(0, sumOfSquares(row) - sumOfSquares(products))
  }
  return residuals
}

/** Random numbers in the first `size` columns; the padding stays zero. */
function fillRandom({ values, numRows, width }: Rows, size: number): void {
  const next = seededRandom(numRows)
  for (let r = 0; r < numRows; r++) for (let d = 0; d < size; d++) values[r * width + d] = next() - 0.5
}

/** `image = basis X^T X`, block by block of the rows X. */
function multiplyByCovariance(arena: Arena, rows: Rows, basis: Rows, image: Rows, products: Float32Array): void {
  image.values.fill(0)
  for (let from = 0; from < rows.numRows; from += BLOCK_ROWS) {
    const factors = products.subarray(0, Math.min(BLOCK_ROWS, rows.numRows - from))
    for (let r = 0; r < basis.numRows; r++) {
      arena.dots(rowOf(basis, r), rows, from, factors.length, factors)
      arena.addRows(rowOf(image, r), factors, rows, from)
    }
  }
}

/** Modified Gram-Schmidt, twice for accuracy; a row that depends on earlier ones becomes zeros. */
function orthonormalise(basis: Rows): void {
  for (let r = 0; r < basis.numRows; r++) {
    const row = rowOf(basis, r)
    const before = sumOfSquares(row)
    for (let s = 0; s < 2 * r; s++) subtractProjection(row, rowOf(basis, s % r))
    const squares = sumOfSquares(row)
    const scale = squares > before * 1e-12 ? 1 / Math.sqrt(squares) : 0
    for (let d = 0; d < row.length; d++) row[d] = (row[d] as number) * scale
  }
}

function subtractProjection(row: Float32Array, unit: Float32Array): void {
  let product = 0
  for (let d = 0; d < row.length; d++) product += (row[d] as number) * (unit[d] as number)
  for (let d = 0; d < row.length; d++) row[d] = (row[d] as number) - product * (unit[d] as number)
}
