import { expect, it } from 'vitest'
import { ascending, onRandomInputs, randomInput, rowsOf, slowCosine, type FullInput } from '../../test/random-input.js'
import { scope } from './scope.js'

/** Every gain in every round, in float64. */
function slow({ features, clsScores }: FullInput, keep: number): number[] {
  const rows = rowsOf(features, clsScores.length)
  const similarity = rows.map((a) => rows.map((b) => slowCosine(a, b)))
  const chosen: number[] = []
  while (chosen.length < keep) {
    const covered = rows.map((_, i) => Math.max(0, ...chosen.map((j) => similarity[i]![j]!)))
    const gain = (j: number) =>
      clsScores[j]! * covered.reduce((sum, value, i) => sum + Math.max(0, similarity[i]![j]! - value), 0)
    const rest = rows.map((_, i) => i).filter((i) => !chosen.includes(i))
    chosen.push(rest.reduce((best, j) => (gain(j) > gain(best) ? j : best)))
  }
  return ascending(chosen)
}

it('equals the greedy choice in float64', () => {
  onRandomInputs(60, (input, keep) => {
    expect([...scope().select(input, keep).kept]).toEqual(slow(input, keep))
  })
})

it('equals it over many tokens and steps', () => {
  const input = randomInput(11, 12, 7, 40)
  for (const keep of [15, 40]) expect([...scope().select(input, keep).kept]).toEqual(slow(input, keep))
})

it('equals it with negative scores too, whose gains grow', () => {
  onRandomInputs(60, (input, keep) => {
    const signed = { ...input, clsScores: Float32Array.from(input.clsScores, (score) => score - 0.7) }
    expect([...scope().select(signed, keep).kept]).toEqual(slow(signed, keep))
  })
})

it('prefers a token that covers many to a salient one that covers itself', () => {
  const features = [1, 0, 1, 0.1, 1, -0.1, 0, 1]
  const input = { grid: { rows: 1, columns: 4 }, features, clsScores: [1, 1, 1, 2] }
  expect([...scope().select(input, 1).kept]).toEqual([1])
  expect([...scope().select(input, 2).kept]).toEqual([1, 3])
})
