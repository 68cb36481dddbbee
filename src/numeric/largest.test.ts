import fc from 'fast-check'
import { expect, it } from 'vitest'
import { indexOfLargest, largestOf, lazyIndexOfLargest, raiseTo } from './largest.js'

const values = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 30 })

it('indexOfLargest: the first of the largest', () => {
  fc.assert(
    fc.property(values, (v) => {
      expect(indexOfLargest(Float64Array.from(v))).toBe(v.indexOf(Math.max(...v)))
    }),
  )
  expect(indexOfLargest(new Float32Array(0))).toBe(-1)
  expect(indexOfLargest(new Float32Array(3).fill(-Infinity))).toBe(0)
})

it('largestOf: of the first values only', () => {
  fc.assert(
    fc.property(values, fc.nat(30), (v, count) => {
      expect(largestOf(Float32Array.from(v), Math.min(count, v.length))).toBe(Math.max(...v.slice(0, count)))
    }),
  )
})

it('raiseTo: the elementwise maximum', () => {
  const floats = Float32Array.of(1, 5, -2)
  raiseTo(floats, Float32Array.of(2, 4, -2))
  expect([...floats]).toEqual([2, 5, -2])
})

it('lazyIndexOfLargest: as if all values were known, whatever the bounds', () => {
  const pairs = fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.nat(4)), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(pairs, (each) => {
      const bounds = Float64Array.from(each, ([value, slack]) => value + slack)
      let refreshed = 0
      const index = lazyIndexOfLargest(bounds, (i) => {
        bounds[i] = each[i]![0]
        refreshed++
      })
      const known = each.map(([value]) => value)
      expect(index).toBe(known.indexOf(Math.max(...known)))
      expect(refreshed).toBeLessThanOrEqual(each.length)
    }),
  )
})
