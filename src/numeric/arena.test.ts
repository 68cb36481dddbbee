import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import loadWabt from 'wabt'
import { clusteredRows, rowsOf } from '../../test/random-input.js'
import { createArena, floatsOfRows, rowOf, withArena, type Arena } from './arena.js'
import { kernelsWasm } from './kernels-wasm.js'
import { seededRandom } from './random.js'
import { loadRows } from './rows.js'

it('kernels-wasm.ts is what kernels.wat says', async () => {
  const source = readFileSync(new URL('kernels.wat', import.meta.url), 'utf8')
  const { buffer } = (await loadWabt()).parseWat('kernels.wat', source, { simd: true }).toBinary({})
  expect(Buffer.from(buffer).toString('base64'), 'run npm run build:kernels').toBe(kernelsWasm)
})

const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * b[d]!, 0)

describe.each([
  ['WebAssembly', true],
  ['plain loops', false],
])('%s', (_, simd) => {
  const widths = [1, 3, 8, 9, 31, 64, 100]
  const arenaFor = (): Arena => createArena(floatsOfRows(40, 104) + 1000, simd)

  it.each(widths)('dots equal float64 at width %i', (width) => {
    const values = clusteredRows(23, width, seededRandom(width))
    const rows = rowsOf(values, 23)
    const arena = arenaFor()
    const matrix = loadRows(arena, values, 23)
    for (const [row, from, count] of [
      [0, 0, 23],
      [5, 3, 20],
      [7, 22, 1],
      [9, 4, 7],
      [1, 1, 0],
    ] as const) {
      const out = arena.floats(24).fill(99)
      arena.dots(rowOf(matrix, row), matrix, from, count, out)
      for (let i = 0; i < count; i++) expect(out[i]).toBeCloseTo(dot(rows[row]!, rows[from + i]!), 4)
      expect(out[count]).toBe(99)
    }
  })

  it.each(widths)('addRows equals float64 at width %i', (width) => {
    const values = clusteredRows(12, width, seededRandom(width))
    const rows = rowsOf(values, 12)
    const arena = arenaFor()
    const matrix = loadRows(arena, values, 12)
    const factors = arena.floats(6)
    factors.set([1, -2, 0.5, 0, 3, -1])
    const target = rowOf(matrix, 0)
    arena.addRows(target, factors.subarray(0, 0), matrix, 4)
    expect([...target.subarray(0, width)]).toEqual(rows[0])
    arena.addRows(target, factors, matrix, 4)
    const expected = rows[0]!.map((value, d) => factors.reduce((sum, f, i) => sum + f * rows[4 + i]![d]!, value))
    expected.forEach((value, d) => expect(target[d]).toBeCloseTo(value, 5))
    for (let d = width; d < target.length; d++) expect(target[d]).toBe(0)
  })

  it('equal rows give equal products at every place', () => {
    const one = clusteredRows(1, 50, seededRandom(4))
    const arena = arenaFor()
    const matrix = loadRows(
      arena,
      Float32Array.from({ length: 11 * 50 }, (_, i) => one[i % 50]!),
      11,
    )
    const out = arena.floats(11)
    for (let from = 0; from < 11; from++) {
      arena.dots(rowOf(matrix, 3), matrix, from, 11 - from, out)
      expect(new Set(out.subarray(0, 11 - from)).size).toBe(1)
    }
  })

  it('gives zeros again after a reset and no more than it has', () => {
    const arena = createArena(64, simd)
    arena.floats(64).fill(7)
    arena.reset()
    expect([...arena.floats(64)]).toEqual(new Array(64).fill(0))
    expect(() => arena.rows(200, 200)).toThrow(RangeError)
  })
})

describe('withArena', () => {
  it('keeps small memories for the next caller, and survives a throw and a call inside a call', () => {
    const buffer = withArena(1000, (arena) => arena.floats(10).buffer)
    expect(withArena(500, (arena) => arena.floats(10).buffer)).toBe(buffer)
    expect(() =>
      withArena(500, () => {
        throw new Error('stop')
      }),
    ).toThrow('stop')
    withArena(500, (outer) => {
      const kept = outer.floats(4).fill(5)
      withArena(500, (inner) => inner.floats(4).fill(6))
      expect([...kept]).toEqual([5, 5, 5, 5])
    })
  })

  it('does not hold on to large memories', () => {
    const large = withArena(5 * 1024 * 1024, (arena) => arena.floats(10).buffer)
    expect(withArena(1000, (arena) => arena.floats(10).buffer)).not.toBe(large)
  })
})
