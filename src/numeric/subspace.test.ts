import { describe, expect, it } from 'vitest'
import { rowsOf } from '../../test/random-input.js'
import { createArena, rowOf, type Rows } from './arena.js'
import { seededRandom } from './random.js'
import { loadRows } from './rows.js'
import { centreRows, dominantSubspace, squaredResiduals } from './subspace.js'

const basisOf = (basis: Rows) => Array.from({ length: basis.numRows }, (_, r) => [...rowOf(basis, r)])
const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * b[d]!, 0)

/** Rows along fixed axes with falling variance: the leading eigenvectors are the first axes. */
function axisRows(numRows: number, width: number, seed: number): Float32Array {
  const next = seededRandom(seed)
  return Float32Array.from({ length: numRows * width }, (_, at) => (next() - 0.5) * 0.3 ** (at % width))
}

describe('dominantSubspace', () => {
  it('finds the leading axes, orthonormal and the same each time', () => {
    for (const rank of [1, 2, 4]) {
      const values = axisRows(200, 11, rank)
      const find = () => {
        const arena = createArena(10_000)
        return basisOf(dominantSubspace(arena, loadRows(arena, values, 200), 11, rank))
      }
      const basis = find()
      expect(find()).toEqual(basis)
      basis.forEach((row, r) => basis.forEach((other, s) => expect(dot(row, other)).toBeCloseTo(r === s ? 1 : 0, 5)))
      for (const row of basis) for (const outside of row.slice(rank)) expect(Math.abs(outside)).toBeLessThan(0.05)
    }
  })

  it('is zero where the rows have fewer dimensions, and of zero rows', () => {
    const arena = createArena(10_000)
    const line = loadRows(
      arena,
      Array.from({ length: 30 }, (_, i) => (i % 3) + 1),
      10,
    )
    const basis = basisOf(dominantSubspace(arena, line, 3, 2))
    expect(dot(basis[0]!, basis[0]!)).toBeCloseTo(1, 5)
    expect(dot(basis[1]!, basis[1]!)).toBeLessThan(1.001)
    const none = basisOf(dominantSubspace(arena, loadRows(arena, new Float32Array(30), 10), 3, 2))
    expect(none.flat().every((value) => value === 0)).toBe(true)
  })
})

it('residuals are what is left after projection, in float64', () => {
  const values = axisRows(50, 10, 3)
  const arena = createArena(10_000)
  const rows = loadRows(arena, values, 50)
  centreRows(rows)
  const centred = rowsOf(rows.values, 50)
  for (let d = 0; d < 10; d++) expect(centred.reduce((sum, row) => sum + row[d]!, 0)).toBeCloseTo(0, 5)
  const basis = dominantSubspace(arena, rows, 10, 3)
  const residuals = squaredResiduals(arena, rows, basis)
  centred.forEach((row, i) => {
    const inside = basisOf(basis).reduce((sum, unit) => sum + dot(row, unit) ** 2, 0)
    expect(residuals[i]).toBeCloseTo(dot(row, row) - inside, 6)
  })
})
