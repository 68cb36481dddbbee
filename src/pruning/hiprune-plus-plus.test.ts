import { describe, expect, it } from 'vitest'
import { onRandomInputs, randomInput, slowRanking, type FullInput } from '../../test/random-input.js'
import { buffersOf } from './buffers.js'
import { anchorCount, hiprune } from './hiprune.js'
import { hiprunePlusPlus, type HiPrunePlusPlusOptions } from './hiprune-plus-plus.js'
import { TokenRole } from './types.js'

/** Token by token from the definition, K in total. */
function slow(input: FullInput, keep: number, alpha: number, textTokens: number, sign: number): Map<number, number> {
  const roles = new Map<number, number>()
  const anchors = slowRanking(input.objectScores).slice(0, anchorCount(keep, alpha, 'cross'))
  for (const anchor of anchors) {
    for (const token of [anchor, ...buffersOf(anchor, input.grid, 'cross', 'grid')]) {
      if (roles.size < keep) roles.set(token, anchors.includes(token) ? TokenRole.anchor : TokenRole.buffer)
    }
  }
  const lastRegister = keep - textTokens
  for (const token of slowRanking(input.deepScores)) {
    if (roles.size < lastRegister && !roles.has(token)) roles.set(token, TokenRole.register)
  }
  for (const token of slowRanking(Array.from(input.relevance, (value) => sign * value))) {
    if (roles.size < keep && !roles.has(token)) roles.set(token, TokenRole.text)
  }
  return roles
}

const rolesOf = ({ kept, roles }: { kept: Uint32Array; roles: Uint8Array }) =>
  new Map(Array.from(kept, (token, i) => [token, roles[i]!]))
const ordered = (roles: Map<number, number>) => [...roles].sort(([a], [b]) => a - b)
const count = (roles: Uint8Array, role: number) => roles.filter((each) => each === role).length

describe('within the budget', () => {
  it.each([
    [{}, 0.1, 1],
    [{ sign: -1 }, 0.1, -1],
    [{ alpha: 0.5 }, 0.5, 1],
  ] as const)('equals the definition with %o', (options, alpha, sign) => {
    onRandomInputs(100, (input, keep) => {
      // Math.round differs from half-to-even at .5 only.
      const wanted = (keep * 0.1) % 1 === 0.5 ? 2 * Math.round((keep * 0.1) / 2) : Math.round(keep * 0.1)
      const selection = hiprunePlusPlus(options).select(input, keep)
      expect(ordered(rolesOf(selection))).toEqual(ordered(slow(input, keep, alpha, wanted, sign)))
    })
  })

  it('textTokens overrides beta, and text tokens never displace anchors and buffers', () => {
    onRandomInputs(60, (input, keep) => {
      const options = { alpha: 0.5, beta: 0.3, textTokens: 1000 }
      const { kept, roles } = hiprunePlusPlus(options).select(input, keep)
      const without = hiprune({ alpha: 0.5 }).select(input, keep)
      expect(kept).toHaveLength(keep)
      expect(count(roles, TokenRole.register)).toBe(0)
      expect(count(roles, TokenRole.text)).toBe(count(without.roles, TokenRole.register))
    })
  })

  it('without text tokens it is HiPrune', () => {
    onRandomInputs(60, (input, keep) => {
      const expected = hiprune().select(input, keep)
      expect(hiprunePlusPlus({ beta: 0 }).select(input, keep)).toEqual(expected)
      expect(hiprunePlusPlus({ textTokens: 0 }).select(input, keep)).toEqual(expected)
    })
  })

  it.each([
    [192, 19],
    [128, 13],
    [64, 6],
  ])('%i tokens have %i for the text', (keep, text) => {
    const { roles } = hiprunePlusPlus().select(randomInput(24, 24, 1, 2), keep)
    expect(count(roles, TokenRole.text)).toBe(text)
  })
})

describe("textBudget: 'extra'", () => {
  it('adds text tokens to what HiPrune keeps, as far as there are tokens', () => {
    onRandomInputs(60, (input, keep) => {
      const plain = rolesOf(hiprune().select(input, keep))
      const numTokens = input.deepScores.length
      const { kept, roles } = hiprunePlusPlus({ textBudget: 'extra', textTokens: 5 }).select(input, keep)
      expect(kept).toHaveLength(Math.min(numTokens, keep + 5))
      for (const [token, role] of rolesOf({ kept, roles })) expect(role).toBe(plain.get(token) ?? TokenRole.text)
    })
  })
})

it.each([
  [{ beta: -0.1 }, /^beta: got -0.1, allowed: a number from 0 to 1/],
  [{ beta: NaN }, /^beta: got NaN/],
  [{ alpha: 2 }, /^alpha: got 2/],
  [{ textTokens: -1 }, /^textTokens: got -1, allowed: a count from 0/],
  [{ textTokens: 1.5 }, /^textTokens: got 1.5/],
  [{ textBudget: 'more' as never }, /^textBudget: got "more", allowed: within, extra/],
  [{ sign: 0 as never }, /^sign: got 0, allowed: 1, -1/],
] as [HiPrunePlusPlusOptions, RegExp][])('refuses %o', (options, message) => {
  expect(() => hiprunePlusPlus(options)).toThrow(message)
})
