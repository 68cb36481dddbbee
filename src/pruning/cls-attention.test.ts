import { expect, it } from 'vitest'
import { ascending, onRandomInputs, slowRanking } from '../../test/random-input.js'
import { clsAttention } from './cls-attention.js'

it('equals a full sort', () => {
  onRandomInputs(100, (input, keep) => {
    const expected = ascending(slowRanking(input.clsScores).slice(0, keep))
    expect([...clsAttention().select(input, keep).kept]).toEqual(expected)
  })
})

it('of equal scores the lower index wins', () => {
  const input = { grid: { rows: 1, columns: 6 }, clsScores: [1, 2, 1, 2, 1, 1] }
  expect([...clsAttention().select(input, 4).kept]).toEqual([0, 1, 2, 3])
})
