import { expect, it } from 'vitest'
import { onRandomInputs, rowsOf } from '../../test/random-input.js'
import { gridCells, pool } from './pool.js'

it('cuts the grid into exactly K rectangles without gap or overlap, each with its token inside', () => {
  for (const [rows, columns] of [
    [24, 24],
    [1, 30],
    [30, 1],
    [7, 13],
    [2, 3],
  ] as const) {
    for (let keep = 1; keep <= rows * columns; keep++) {
      const cells = gridCells({ rows, columns }, keep)
      const owners = new Uint8Array(rows * columns)
      for (const { top, bottom, left, right } of cells) {
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++) owners[row * columns + column]!++
      }
      expect(cells).toHaveLength(keep)
      expect(owners.every((count) => count === 1)).toBe(true)
    }
  }
})

it('cells differ by no more than a factor of about 2 in size on a square grid', () => {
  for (const keep of [64, 128, 192, 100, 37]) {
    const sizes = gridCells({ rows: 24, columns: 24 }, keep).map(
      (cell) => (cell.bottom - cell.top) * (cell.right - cell.left),
    )
    expect(Math.max(...sizes) / Math.min(...sizes)).toBeLessThanOrEqual(4)
  }
})

it('rows are the means of their cells in float64, at the middle token', () => {
  onRandomInputs(60, (input, keep) => {
    const { columns } = input.grid
    const tokens = rowsOf(input.features, input.clsScores.length)
    const { kept, rows } = pool().select(input, keep)
    const width = tokens[0]!.length
    gridCells(input.grid, keep).forEach(({ top, bottom, left, right }, i) => {
      const inside = tokens.filter((_, token) => {
        const [row, column] = [Math.floor(token / columns), token % columns]
        return row >= top && row < bottom && column >= left && column < right
      })
      for (let d = 0; d < width; d++) {
        const mean = inside.reduce((sum, row) => sum + row[d]! / inside.length, 0)
        expect(rows![i * width + d]).toBeCloseTo(mean, 6)
      }
      expect(Math.abs(Math.floor(kept[i]! / columns) - (top + bottom - 1) / 2)).toBeLessThanOrEqual(0.5)
      expect(Math.abs((kept[i]! % columns) - (left + right - 1) / 2)).toBeLessThanOrEqual(0.5)
    })
  })
})

it('halves 4 x 4 exactly', () => {
  const features = Array.from({ length: 16 }, (_, i) => i)
  const { kept, rows } = pool().select({ grid: { rows: 4, columns: 4 }, features }, 4)
  expect([...kept]).toEqual([0, 2, 8, 10])
  expect([...rows!]).toEqual([2.5, 4.5, 10.5, 12.5])
})
