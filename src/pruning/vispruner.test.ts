import { expect, it } from 'vitest'
import {
  ascending,
  onRandomInputs,
  randomInput,
  rowsOf,
  slowCosine,
  slowRanking,
  type FullInput,
} from '../../test/random-input.js'
import { vispruner } from './vispruner.js'

/** Round by round in float64, every similarity computed where it is needed. */
function slow({ features, clsScores }: FullInput, keep: number): number[] {
  const rows = rowsOf(features, clsScores.length)
  const ranking = slowRanking(clsScores)
  const important = ranking.slice(0, Math.floor(keep / 2))
  let rest = ranking.slice(important.length)
  while (rest.length > keep - important.length) {
    const evens = rest.filter((_, place) => place % 2 === 0)
    const odds = rest.filter((_, place) => place % 2 === 1)
    const likeness = evens.map((i) => Math.max(...odds.map((j) => slowCosine(rows[i]!, rows[j]!))))
    const order = slowRanking(likeness).map((place) => evens[place]!)
    rest = [...order.slice(Math.min(8, rest.length - (keep - important.length))), ...odds]
  }
  return ascending([...important, ...rest])
}

it('equals round by round in float64', () => {
  onRandomInputs(100, (input, keep) => {
    expect([...vispruner().select(input, keep).kept]).toEqual(slow(input, keep))
  })
})

it('equals it over many rounds', () => {
  const input = randomInput(12, 16, 3)
  for (const keep of [1, 2, 21, 64]) expect([...vispruner().select(input, keep).kept]).toEqual(slow(input, keep))
})

it('importantRatio 1 is CLS attention, 0 is deduplication only', () => {
  const input = randomInput(5, 6, 9)
  const kept = (importantRatio: number) => [...vispruner({ importantRatio }).select(input, 9).kept]
  expect(kept(1)).toEqual(ascending(slowRanking(input.clsScores).slice(0, 9)))
  expect(kept(0)).toHaveLength(9)
  expect(() => kept(1.1)).toThrow(/^importantRatio: got 1.1, allowed: a number from 0 to 1/)
})
