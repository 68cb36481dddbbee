import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readGolden } from '../../test/golden.js'
import { ArgumentError } from '../errors.js'
import { parseBudget, resolveBudget } from './budget.js'

describe('parseBudget', () => {
  it.each([
    [192, 192],
    ['192', 192],
    [1 / 3, 192],
    ['1/3', 192],
    [0.334, 192],
    ['0.334', 192],
    ['.5', 288],
    ['33%', 190],
    ['33.4 %', 192],
    ['100%', 576],
    [1, 1],
    [9999, 576],
    [1e-9, 1],
  ])('%s of 576 tokens is %i', (input, tokens) => expect(parseBudget(input, 576)).toBe(tokens))

  it.each([0, -3, 1.5, NaN, Infinity, '0', '-3', '200%', 'x', '', ' ', '1/0', '0/3', '4/3', '1e3', '0x10', '33%%'])(
    'refuses %s and says what is allowed',
    (input) => {
      expect(() => parseBudget(input)).toThrow(ArgumentError)
      expect(() => parseBudget(input)).toThrow(/^budget: got .*allowed: a count from 1/)
    },
  )

  it('refuses what is neither number nor text', () => {
    for (const input of [null, undefined, {}, [], true])
      expect(() => parseBudget(input as never)).toThrow(ArgumentError)
  })

  it('rounds ratios as the reference does', () => {
    const { qwen_visual_token_num } = readGolden<{
      qwen_visual_token_num: { n: number; retain: number; visual_token_num: number }[]
    }>('rounding')
    for (const { n, retain, visual_token_num } of qwen_visual_token_num) {
      if (visual_token_num > 0) expect(resolveBudget({ kind: 'ratio', ratio: retain }, n)).toBe(visual_token_num)
    }
  })
})

describe("'auto'", () => {
  const auto = parseBudget('auto')

  it('keeps few tokens when few hold the attention and more when many do', () => {
    const scores = (busy: number) => Array.from({ length: 90 }, (_, i) => (i < busy ? 1 / busy : 0))
    expect(resolveBudget(auto, 90, scores(2))).toBe(10)
    expect(resolveBudget(auto, 90, scores(30))).toBe(27)
    expect(resolveBudget(auto, 90, scores(80))).toBe(45)
  })

  it('stays between a ninth and a half of the tokens', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 300 }), (scores) => {
        const keep = resolveBudget(auto, scores.length, scores)
        expect(keep).toBeGreaterThanOrEqual(Math.max(1, Math.floor(scores.length / 9)))
        expect(keep).toBeLessThanOrEqual(Math.ceil(scores.length / 2))
      }),
    )
  })

  it('needs deep scores', () => expect(() => resolveBudget(auto, 90)).toThrow(/without deep scores/))
})
