import { describe, expect, it } from 'vitest'
import {
  ascending,
  onRandomInputs,
  randomInput,
  rowsOf,
  slowCosine,
  slowRanking,
  type FullInput,
} from '../../test/random-input.js'
import { cdpruner, qualities } from './cdpruner.js'

/** Determinant by Gaussian elimination with pivots. */
function determinant(matrix: number[][]): number {
  const rows = matrix.map((row) => [...row])
  let result = 1
  for (let column = 0; column < rows.length; column++) {
    const below = rows.slice(column).map((row) => Math.abs(row[column]!))
    const pivot = column + below.indexOf(Math.max(...below))
    if (rows[pivot]![column] === 0) return 0
    if (pivot !== column) result = -result
    ;[rows[pivot], rows[column]] = [rows[column]!, rows[pivot]!]
    result *= rows[column]![column]!
    for (const row of rows.slice(column + 1)) {
      const factor = row[column]! / rows[column]![column]!
      for (let i = column; i < rows.length; i++) row[i] = row[i]! - factor * rows[column]![i]!
    }
  }
  return result
}

/** The set whose determinant is largest, token by token, each determinant from scratch in float64. */
function slow({ features, relevance }: FullInput, keep: number, sign: number): number[] {
  const signed = Array.from(relevance, (value) => sign * value)
  const span = Math.max(...signed) - Math.min(...signed)
  const r = signed.map((value) => (span === 0 ? 1 : (value - Math.min(...signed) + 1e-6) / span))
  const rows = rowsOf(features, r.length)
  const kernel = rows.map((a, i) => rows.map((b, j) => r[i]! * slowCosine(a, b) * r[j]!))
  const volume = (set: number[]) => determinant(set.map((i) => set.map((j) => kernel[i]![j]!)))
  const chosen: number[] = []
  while (chosen.length < keep) {
    const rest = rows.map((_, i) => i).filter((i) => !chosen.includes(i))
    chosen.push(rest.reduce((best, j) => (volume([...chosen, j]) > volume([...chosen, best]) ? j : best)))
  }
  return ascending(chosen)
}

it.each([-1, 1] as const)('equals greedy determinants in float64 with sign %i', (sign) => {
  onRandomInputs(60, (input, keep) => {
    // The least relevant token's r of 1e-6 makes determinants too small to compare: leave it and one more out.
    const most = Math.min(8, keep, input.relevance.length - 2)
    if (most < 1) return
    expect([...cdpruner({ sign }).select(input, most).kept]).toEqual(slow(input, most, sign))
  })
})

/** The same greedy choice by an incremental Cholesky factor of the whole kernel, the algorithm of the paper, in float64. */
function cholesky({ features, relevance }: FullInput, keep: number): number[] {
  const r = qualities(relevance, -1)
  const rows = rowsOf(features, r.length)
  const kernel = rows.map((a, i) => rows.map((b, j) => r[i]! * slowCosine(a, b) * r[j]!))
  const rest = kernel.map((row, i) => row[i]!)
  const factor: number[][] = []
  const chosen: number[] = []
  while (chosen.length < keep) {
    const best = slowRanking(rest).find((i) => !chosen.includes(i))!
    const root = Math.sqrt(rest[best]!)
    const column = rest.map((_, i) => {
      return (kernel[best]![i]! - factor.reduce((sum, c) => sum + c[best]! * c[i]!, 0)) / root
    })
    column.forEach((value, i) => (rest[i] = rest[i]! - value * value))
    factor.push(column)
    chosen.push(best)
  }
  return ascending(chosen)
}

it('equals the incremental Cholesky factor up to nearly the full rank', () => {
  for (let seed = 0; seed < 5; seed++) {
    const input = randomInput(13, 16, seed, 40)
    for (const keep of [9, 23, 37]) expect([...cdpruner().select(input, keep).kept]).toEqual(cholesky(input, keep))
  }
})

describe('when the rank is used up', () => {
  const features = [1, 0, 0, 1, 1, 1, 2, 1, 1, 3]
  const relevance = [0.1, 0.2, 0.3, 0.4, 0.5]
  const select = (sign: 1 | -1, keep: number) => [
    ...cdpruner({ sign }).select({ grid: { rows: 1, columns: 5 }, features, relevance }, keep).kept,
  ]

  it('the rest goes by relevance', () => {
    // Rank 2. Sign -1: r = 1, 3/4, ...: token 0, then 1 (orthogonal to it); then the rest by r.
    expect(select(-1, 2)).toEqual([0, 1])
    expect(select(-1, 4)).toEqual([0, 1, 2, 3])
    expect(select(1, 3)).toEqual([2, 3, 4])
  })
})

it('keeps one of each direction before any duplicate', () => {
  const features = Array.from({ length: 12 }, (_, i) => [0, 1, 2, 3].map((d) => (d === i % 4 ? 1 + i : 0))).flat()
  const input = { grid: { rows: 3, columns: 4 }, features, relevance: new Float32Array(12) }
  expect([...cdpruner().select(input, 4).kept]).toEqual([0, 1, 2, 3])
})

it('refuses a sign', () => expect(() => cdpruner({ sign: 2 as never })).toThrow(/^sign: got 2, allowed: 1, -1/))
