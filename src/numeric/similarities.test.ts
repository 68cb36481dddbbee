import { describe, expect, it } from 'vitest'
import { clusteredRows, rowsOf, slowCosine } from '../../test/random-input.js'
import { createArena } from './arena.js'
import { neighbours } from './neighbours.js'
import { seededRandom } from './random.js'
import { loadRows, loadUnitRows } from './rows.js'
import { fixedPointProducts, nearestOthers, positiveProducts, visitPairs } from './similarities.js'

const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * b[d]!, 0)

/** Sizes below, at and above a block of the widest rows (8 at width 8192). */
const shapes = [
  [1, 5],
  [2, 8],
  [40, 12],
  [17, 8192],
  [130, 700],
] as const

describe.each(shapes)('%i rows of width %i', (numRows, width) => {
  const values = clusteredRows(numRows, width, seededRandom(numRows))
  const slow = rowsOf(values, numRows).map((a, _, all) => all.map((b) => dot(a, b)))
  const load = () => {
    const arena = createArena(numRows * (width + 8) + 10_000)
    return [arena, loadRows(arena, values, numRows)] as const
  }
  /** Float32 sums of as many terms. */
  const near = (actual: number | undefined, expected: number) => {
    expect(Math.abs(actual! - expected)).toBeLessThan(1e-6 * width)
  }

  it('visits every pair once', () => {
    const seen = slow.map((row) => row.map(() => 0))
    visitPairs(...load(), (i, from, products) => {
      products.forEach((product, k) => {
        near(product, slow[i]![from + k]!)
        expect(from + k).toBeGreaterThanOrEqual(i)
        seen[i]![from + k]!++
      })
    })
    seen.forEach((row, i) => row.forEach((count, j) => expect(count).toBe(j >= i ? 1 : 0)))
  })

  it('nearest others', () => {
    const nearest = nearestOthers(...load())
    slow.forEach((row, i) => {
      const others = row.filter((_, j) => j !== i)
      if (others.length === 0) expect(nearest[i]).toBe(-Infinity)
      else near(nearest[i], Math.max(...others))
    })
  })

  it('neighbours in groups that change and shrink', () => {
    const [arena, rows] = load()
    const groups = new Uint8Array(numRows).fill(1)
    const similar = neighbours(arena, rows, groups)
    const next = seededRandom(9)
    for (let round = 0; round < 12; round++) {
      groups.forEach((group, i) => (groups[i] = group === 0 || next() < 0.2 ? 0 : next() < 0.9 ? 1 : 2))
      for (let i = 0; i < numRows; i++) {
        for (const group of [1, 2]) {
          const others = slow[i]!.filter((_, j) => j !== i && groups[j] === group)
          if (others.length === 0) expect(similar.largest(i, group)).toBe(-Infinity)
          else near(similar.largest(i, group), Math.max(...others))
        }
      }
    }
  })
})

it('positive products of unit rows, in float32 and in 16 bits', () => {
  const values = clusteredRows(60, 21, seededRandom(3))
  const arena = createArena(20_000)
  const unit = loadUnitRows(arena, values, 60)
  const floats = positiveProducts(arena, unit)
  const fixed = fixedPointProducts(arena, unit)
  expect(floats).toBeInstanceOf(Float32Array)
  rowsOf(values, 60).forEach((a, i, all) => {
    all.forEach((b, j) => {
      const expected = Math.max(0, slowCosine(a, b))
      expect(floats[i * 60 + j]).toBeCloseTo(expected, 6)
      expect(Math.abs(fixed[i * 60 + j]! / 65_535 - expected)).toBeLessThan(1e-5)
    })
  })
})
