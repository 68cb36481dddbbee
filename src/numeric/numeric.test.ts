import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from './random.js'
import { roundHalfToEven } from './round.js'
import { topK, topSet } from './top-k.js'

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

  it('topSet gives the same indices ascending, of what is not taken', () => {
    const scored = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean()), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(scored, fc.integer({ min: -1, max: 210 }), (each, k) => {
        const scores = each.map(([score]) => score)
        const taken = Uint8Array.from(each, ([, isTaken]) => (isTaken ? 3 : 0))
        const free = scores.map((score, i) => ({ score, i })).filter(({ i }) => taken[i] === 0)
        const best = free.sort((a, b) => b.score - a.score || a.i - b.i).slice(0, Math.max(0, k))
        expect([...topSet(scores, k, taken)]).toEqual(best.map(({ i }) => i).sort((a, b) => a - b))
        expect([...topK(scores, k, taken)]).toEqual(best.map(({ i }) => i))
      }),
    )
  })

  it('selects from sorted, reversed and constant scores without slowing down', () => {
    const size = 20_000
    for (const score of [(i: number) => i, (i: number) => -i, () => 1, (i: number) => i % 2]) {
      const scores = Float32Array.from({ length: size }, (_, i) => score(i))
      const slow = Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b)
      expect([...topSet(scores, 7000)]).toEqual(slow.slice(0, 7000).sort((a, b) => a - b))
    }
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
