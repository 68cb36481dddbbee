import { expect, it } from 'vitest'
import { ascending, onRandomInputs, randomInput, rowsOf, slowCosine, type FullInput } from '../../test/random-input.js'
import { divprune } from './divprune.js'

/** Distances of all pairs in float64, then max-min from the definition. */
function slow({ features, clsScores }: FullInput, keep: number): number[] {
  const rows = rowsOf(features, clsScores.length)
  const distance = rows.map((a) => rows.map((b) => 1 - slowCosine(a, b)))
  const all = rows.map((_, i) => i)
  const toNearest = (i: number, others: number[]) =>
    Math.min(...others.filter((j) => j !== i).map((j) => distance[i]![j]!))
  const farthest = (from: number[], others: (i: number) => number[]) =>
    from.reduce((best, i) => (toNearest(i, others(i)) > toNearest(best, others(best)) ? i : best))
  const chosen = [farthest(all, () => all)]
  while (chosen.length < keep) {
    const rest = all.filter((i) => !chosen.includes(i))
    chosen.push(farthest(rest, () => chosen))
  }
  return ascending(chosen)
}

it('equals max-min in float64', () => {
  onRandomInputs(60, (input, keep) => {
    expect([...divprune().select(input, keep).kept]).toEqual(slow(input, keep))
  })
})

it('equals it over many tokens and steps', () => {
  const input = randomInput(13, 16, 7, 40)
  for (const keep of [23, 70]) expect([...divprune().select(input, keep).kept]).toEqual(slow(input, keep))
})

it('worked by hand: the odd one out first, then the farthest from it', () => {
  const features = [1, 0, 0.9, 0.1, 0, -1, -1, 0.2]
  const select = (keep: number) => [...divprune().select({ grid: { rows: 2, columns: 2 }, features }, keep).kept]
  expect(select(1)).toEqual([3])
  expect(select(2)).toEqual([0, 3])
  expect(select(3)).toEqual([0, 2, 3])
})

it('takes duplicates last', () => {
  const features = [1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1]
  const { kept } = divprune().select({ grid: { rows: 2, columns: 3 }, features }, 3)
  expect(ascending(Array.from(kept, (token) => token >> 1))).toEqual([0, 1, 2])
})
