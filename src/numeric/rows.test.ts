import { expect, it } from 'vitest'
import { createArena, rowOf } from './arena.js'
import { asFloat32, gatherRows, loadRows, loadUnitRows } from './rows.js'

it('loads rows of any width with zeros behind them', () => {
  for (const width of [1, 7, 8, 9]) {
    const values = Array.from({ length: 3 * width }, (_, i) => i + 1)
    const rows = loadRows(createArena(1000), values, 3)
    expect(rows.width % 8).toBe(0)
    for (let i = 0; i < 3; i++) {
      const padding = new Array<number>(rows.width - width).fill(0)
      expect([...rowOf(rows, i)]).toEqual([...values.slice(i * width, (i + 1) * width), ...padding])
    }
  }
})

it('unit rows have length 1, but zeros stay zeros', () => {
  const unit = loadUnitRows(createArena(1000), [3, 4, 0, 0, -1e-20, 0, 1e18, 1e18], 4)
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => [...rowOf(unit, i).subarray(0, 2)])
  expect(a).toEqual([Math.fround(0.6), Math.fround(0.8)])
  expect(b).toEqual([0, 0])
  expect(c).toEqual([-1, 0])
  expect(d![0]).toBeCloseTo(Math.SQRT1_2, 6)
})

it('gathers copies', () => {
  const arena = createArena(1000)
  const rows = loadRows(arena, [1, 2, 3, 4, 5, 6], 3)
  const gathered = gatherRows(arena, rows, [2, 0])
  rows.values.fill(0)
  expect([...rowOf(gathered, 0).subarray(0, 2), ...rowOf(gathered, 1).subarray(0, 2)]).toEqual([5, 6, 1, 2])
})

it('float32 is taken as it is', () => {
  const floats = new Float32Array(2)
  expect(asFloat32(floats)).toBe(floats)
  expect([...asFloat32([1, 2])]).toEqual([1, 2])
})
