import { describe, expect, it } from 'vitest'
import { ascending, rowsOf, slowRanking } from '../../test/random-input.js'
import { seededRandom } from '../numeric/random.js'
import { lrcp } from './lrcp.js'

/** Eigenvectors of a symmetric matrix by Jacobi rotations, by descending eigenvalue. */
function eigenvectors(symmetric: number[][]): number[][] {
  const size = symmetric.length
  const a = symmetric.map((row) => [...row])
  const vectors = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)))
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(a[p]![q]!) < 1e-300) continue
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!)
        const [c, s] = [Math.cos(angle), Math.sin(angle)]
        const rotate = (x: number[][], i: number, j: number, k: number, l: number) => {
          const [first, second] = [x[i]![j]!, x[k]![l]!]
          x[i]![j] = c * first - s * second
          x[k]![l] = s * first + c * second
        }
        for (let k = 0; k < size; k++) rotate(a, k, p, k, q)
        for (let k = 0; k < size; k++) rotate(a, p, k, q, k)
        for (let k = 0; k < size; k++) rotate(vectors, p, k, q, k)
      }
    }
  }
  return slowRanking(a.map((row, i) => row[i]!)).map((i) => vectors[i]!)
}

/** Residuals of centred PCA from all eigenvectors of the covariance, in float64. */
function slow(rows: number[][], rank: number): number[] {
  const mean = rows[0]!.map((_, d) => rows.reduce((sum, row) => sum + row[d]! / rows.length, 0))
  const centred = rows.map((row) => row.map((value, d) => value - mean[d]!))
  const covariance = mean.map((_, i) => mean.map((_, j) => centred.reduce((sum, row) => sum + row[i]! * row[j]!, 0)))
  const outside = eigenvectors(covariance).slice(rank)
  return centred.map((row) =>
    outside.reduce((sum, vector) => sum + vector.reduce((dot, value, d) => dot + value * row[d]!, 0) ** 2, 0),
  )
}

/** Rows of about the given rank plus a little noise of different size for each row. */
function lowRankRows(numTokens: number, width: number, rank: number, seed: number): Float32Array {
  const next = seededRandom(seed)
  const basis = Array.from({ length: rank }, () => Array.from({ length: width }, () => next() - 0.5))
  return Float32Array.from(
    Array.from({ length: numTokens }, () => {
      const weights = basis.map(() => 4 * (next() - 0.5))
      const noise = 0.2 * next()
      return Array.from({ length: width }, (_, d) => {
        return 1 + basis.reduce((sum, row, r) => sum + weights[r]! * row[d]!, 0) + noise * (next() - 0.5)
      })
    }).flat(),
  )
}

describe('equals PCA by all eigenvectors in float64', () => {
  it.each([
    [5, 8, 14, 3],
    [6, 6, 20, 4],
    [3, 9, 12, 1],
  ])('%i x %i tokens of width %i and rank %i', (rows, columns, width, rank) => {
    for (let seed = 0; seed < 8; seed++) {
      const features = lowRankRows(rows * columns, width, rank, seed)
      const expected = slowRanking(slow(rowsOf(features, rows * columns), rank))
      for (const keep of [1, 7, rows * columns - 5]) {
        const { kept } = lrcp({ rank }).select({ grid: { rows, columns }, features }, keep)
        expect([...kept]).toEqual(ascending(expected.slice(0, keep)))
      }
    }
  })
})

it('keeps what the background does not explain', () => {
  const features = lowRankRows(100, 40, 6, 1)
  for (const odd of [17, 55, 80]) features[odd * 40 + (odd % 40)]! += 3
  const { kept } = lrcp({ rank: 6 }).select({ grid: { rows: 10, columns: 10 }, features }, 3)
  expect([...kept]).toEqual([17, 55, 80])
})

it.each([0, -1, 2.5, NaN])('refuses a rank of %f', (rank) => {
  expect(() => lrcp({ rank })).toThrow(/^rank: got .*, allowed: a count from 1/)
})
