import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from './random.js'
import { roundHalfToEven } from './round.js'
import { topK } from './top-k.js'

describe('roundHalfToEven', () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [3.5, 4],
    [2.4999, 2],
    [2.5001, 3],
    [7, 7],
  ])('rounds %f to %i', (value, rounded) => expect(roundHalfToEven(value)).toBe(rounded))
})

describe('topK', () => {
  it('orders by score, then by index, and passes over taken indices', () => {
    expect([...topK([1, 3, 3, 2], 3)]).toEqual([1, 2, 3])
    expect([...topK([1, 3, 3, 2], 3, Uint8Array.of(0, 1, 0, 0))]).toEqual([2, 3, 0])
    expect([...topK([1, 2], 9)]).toEqual([1, 0])
    expect([...topK([1, 2], 0)]).toEqual([])
  })

  it('equals a full sort', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1 }), fc.nat(20), (scores, k) => {
        const slow = scores.map((score, i) => ({ score, i })).sort((a, b) => b.score - a.score || a.i - b.i)
        expect([...topK(scores, k)]).toEqual(slow.slice(0, k).map(({ i }) => i))
      }),
    )
  })
})

describe('seededRandom', () => {
  it('repeats under a seed, differs between seeds and is about uniform', () => {
    const draw = (seed: number) => Array.from({ length: 10_000 }, seededRandom(seed))
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    const mean = draw(1).reduce((sum, x) => sum + x, 0) / 10_000
    expect(mean).toBeGreaterThan(0.48)
    expect(mean).toBeLessThan(0.52)
  })
})
