import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArgumentError } from '../errors.js'
import { complexityOf, parseBudget, resolveAuto } from './budget.js'
import { checkSplit, splitByWeight, splitEvenly } from './split-budget.js'

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe('splitEvenly', () => {
  it.each([
    [227, 8, 28],
    [640, 5, 128],
    [3, 5, 1],
  ])('%i tokens for %i grids are %i each', (total, grids, each) =>
    expect(splitEvenly(total, grids)).toEqual(Array<number>(grids).fill(each)),
  )
})

describe('splitByWeight', () => {
  it.each<[string, number, number[], number[], number[]]>([
    ['in proportion', 12, [1, 2, 3], [99, 99, 99], [2, 4, 6]],
    ['by largest remainder', 10, [1, 1, 1], [99, 99, 99], [4, 3, 3]],
    ['of 6.43, 2.14, 1.43 the last gets the missing one', 10, [9, 3, 2], [99, 99, 99], [7, 2, 1]],
    ['at least one each', 10, [100, 1, 1], [99, 99, 99], [8, 1, 1]],
    ['never more than there are', 30, [100, 1, 1], [10, 20, 20], [10, 10, 10]],
    ['fewer tokens than grids: one each', 2, [5, 1, 1], [9, 9, 9], [1, 1, 1]],
    ['more than there are: all', 99, [5, 1, 1], [9, 8, 7], [9, 8, 7]],
    ['one grid', 5, [3], [9], [5]],
  ])('%s', (_, total, weights, sizes, counts) => expect(splitByWeight(total, weights, sizes)).toEqual(counts))

  const grids = fc.array(
    fc.record({ weight: fc.oneof(fc.integer({ min: 1, max: 700 }), fc.double({ min: 1e-6, max: 1e6, noNaN: true })), size: fc.integer({ min: 1, max: 800 }) }), // prettier-ignore
    { minLength: 1, maxLength: 40 },
  )

  it('adds up exactly, within the bounds of every grid', () => {
    fc.assert(
      fc.property(grids, fc.integer({ min: 1, max: 30_000 }), (given, total) => {
        const [weights, sizes] = [given.map(({ weight }) => weight), given.map(({ size }) => size)]
        const counts = splitByWeight(total, weights, sizes)
        expect(sum(counts)).toBe(Math.min(Math.max(total, sizes.length), sum(sizes)))
        counts.forEach((count, i) => {
          expect(Number.isInteger(count)).toBe(true)
          expect(count).toBeGreaterThanOrEqual(1)
          expect(count).toBeLessThanOrEqual(sizes[i]!)
        })
      }),
      { numRuns: 500 },
    )
  })

  it('gives more to a greater weight, and less than one token off its exact share where no bound holds', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 50, max: 99 }), { minLength: 1, maxLength: 12 }), (weights) => {
        const total = 100 * weights.length
        const counts = splitByWeight(total, weights, Array<number>(weights.length).fill(1000))
        counts.forEach((count, i) => {
          expect(Math.abs(count - (total * weights[i]!) / sum(weights))).toBeLessThan(1)
          weights.forEach((weight, j) => expect(weight > weights[i]! && counts[j]! < count).toBe(false))
        })
      }),
    )
  })

  it('refuses weights that are not positive, and too few of them', () => {
    for (const weights of [[0, 1], [-1, 1], [NaN, 1], [Infinity, 1], [1]])
      expect(() => splitByWeight(5, weights, [9, 9])).toThrow(/^weights: got .*allowed: 2 positive numbers$/)
  })
})

describe("complexity and 'auto'", () => {
  const busy = (count: number) => Array.from({ length: 90 }, (_, i) => (i < count ? 1 / count : 0))
  const auto = parseBudget('auto') as Extract<ReturnType<typeof parseBudget>, { kind: 'auto' }>

  it('a grid is as complex as the tokens that hold 90 % of its attention above uniform are many', () => {
    expect([2, 10, 30].map((count) => complexityOf(busy(count)))).toEqual([2, 9, 27])
    expect(() => complexityOf(undefined)).toThrow(ArgumentError)
  })

  it('K of several grids is the sum of what each wants, between a ninth and a half of all tokens', () => {
    expect(resolveAuto(auto, [27, 9], 180)).toBe(36)
    expect(resolveAuto(auto, [2, 2], 180)).toBe(20)
    expect(resolveAuto(auto, [80, 80], 180)).toBe(90)
    // An empty tile beside a busy one: together they are within bounds that each alone would not be.
    expect(resolveAuto(auto, [55, 2], 180)).toBe(57)
  })

  it('names what a split may be', () => {
    expect(checkSplit('shared')).toBe('shared')
    expect(() => checkSplit('fair')).toThrow(/^split: got "fair", allowed: 'even', 'complexity' or 'shared'$/)
  })
})
