import { seededRandom } from './random.js'
import type { RowMatrix } from './row-matrix.js'

/** Rounds of subspace iteration. The error shrinks by (next / kept eigenvalue) each round; LRCP needs no more than a rough basis. */
const ROUNDS = 8

/** The rows minus their mean. */
export function centredRows({ values, numRows, width }: RowMatrix): RowMatrix {
  const mean = new Float64Array(width)
  for (let start = 0; start < values.length; start += width) {
    for (let d = 0; d < width; d++) mean[d] = (mean[d] as number) + (values[start + d] as number)
  }
  const centred = new Float32Array(values.length)
  for (let start = 0; start < values.length; start += width) {
    for (let d = 0; d < width; d++) centred[start + d] = (values[start + d] as number) - (mean[d] as number) / numRows
  }
  return { values: centred, numRows, width }
}

/**
 * Orthonormal rows that span about the `rank` leading eigenvectors of `X^T X` (subspace iteration from a fixed seed, so
 * equal rows give an equal basis). O(rounds x N x D x rank).
 */
export function dominantSubspace(rows: RowMatrix, rank: number): RowMatrix {
  const basis = new Float64Array(rank * rows.width)
  const next = seededRandom(rank)
  for (let i = 0; i < basis.length; i++) basis[i] = next() - 0.5
  orthonormalise(basis, rank, rows.width)
  for (let round = 0; round < ROUNDS; round++) {
    basis.set(timesCovariance(rows, basis, rank))
    orthonormalise(basis, rank, rows.width)
  }
  return { values: new Float32Array(basis), numRows: rank, width: rows.width }
}

/** `[N]` squared lengths of what the rows have outside of the subspace; never below 0. */
export function squaredResiduals({ values, numRows, width }: RowMatrix, basis: RowMatrix): Float64Array {
  const residuals = new Float64Array(numRows)
  for (let i = 0; i < numRows; i++) {
    let rest = product(values, i * width, values, i * width, width)
    for (let r = 0; r < basis.numRows; r++) rest -= product(values, i * width, basis.values, r * width, width) ** 2
    residuals[i] = Math.max(0, rest)
  }
  return residuals
}

/** `basis X^T X`, row by row of X so that X is read once. */
function timesCovariance({ values, numRows, width }: RowMatrix, basis: Float64Array, rank: number): Float64Array {
  const image = new Float64Array(basis.length)
  for (let i = 0; i < numRows; i++) {
    for (let r = 0; r < rank; r++) {
      addScaled(image, r * width, product(values, i * width, basis, r * width, width), values, i * width, width)
    }
  }
  return image
}

/** Modified Gram-Schmidt, twice for accuracy; a row that depends on earlier ones becomes zeros. */
function orthonormalise(basis: Float64Array, rank: number, width: number): void {
  for (let r = 0; r < rank; r++) {
    const start = r * width
    const before = product(basis, start, basis, start, width)
    for (let s = 0; s < 2 * r; s++) {
      const other = (s % r) * width
      addScaled(basis, start, -product(basis, start, basis, other, width), basis, other, width)
    }
    const squares = product(basis, start, basis, start, width)
    const scale = squares > before * 1e-20 ? 1 / Math.sqrt(squares) : 0
    for (let d = start; d < start + width; d++) basis[d] = (basis[d] as number) * scale
  }
}

type Floats = Float32Array | Float64Array

function product(a: Floats, aStart: number, b: Floats, bStart: number, width: number): number {
  let sum = 0
  for (let d = 0; d < width; d++) sum += (a[aStart + d] as number) * (b[bStart + d] as number)
  return sum
}

function addScaled(to: Float64Array, start: number, factor: number, from: Floats, fromStart: number, width: number) {
  for (let d = 0; d < width; d++) to[start + d] = (to[start + d] as number) + factor * (from[fromStart + d] as number)
}
