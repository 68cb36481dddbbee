import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { randomInput, type FullInput } from '../../test/random-input.js'
import { ArgumentError } from '../errors.js'
import { parseBudget } from './budget.js'
import { methodInfo } from './methods.js'
import { createPruner, prunerNames, type PrunerName } from './registry.js'
import type { PruneInput, ScoreName } from './types.js'

const scoreNames: readonly ScoreName[] = ['objectScores', 'deepScores', 'clsScores', 'features', 'keys', 'relevance']

/** Only what is named, so that everything else is missing. */
function only(input: FullInput, needs: readonly ScoreName[]): PruneInput {
  const entries = ['grid', 'seed', ...needs].map((key) => [key, input[key as keyof FullInput]])
  return Object.fromEntries(entries) as PruneInput
}

/** Reading anything that is not named throws. */
function guarded(input: FullInput, allowed: readonly ScoreName[]): PruneInput {
  const names: readonly PropertyKey[] = ['grid', 'seed', ...allowed]
  return new Proxy(input, {
    get(target, key) {
      if (!names.includes(key)) throw new Error(`${String(key)} is read but not declared`)
      return Reflect.get(target, key) as unknown
    },
  })
}

/** The conformance suite: what every method promises, with no exception but that 'none' has no budget. */
describe.each(prunerNames)('%s', (name) => {
  const kept = (numTokens: number, keep: number) => (name === 'none' ? numTokens : Math.min(keep, numTokens))

  it('keeps exactly K, ascending and unique, the same tokens each time', () => {
    const size = fc.integer({ min: 1, max: 12 })
    const anyCase = fc.tuple(size, size, fc.integer({ min: 1, max: 160 }), fc.nat(999), fc.integer({ min: 1, max: 9 }))
    fc.assert(
      fc.property(anyCase, ([rows, columns, keep, seed, width]) => {
        const input = randomInput(rows, columns, seed, width)
        const selection = createPruner(name).select(input, keep)
        expect(selection.kept).toHaveLength(kept(rows * columns, keep))
        expect(selection.roles).toHaveLength(selection.kept.length)
        for (let i = 1; i < selection.kept.length; i++) {
          expect(selection.kept[i]).toBeGreaterThan(selection.kept[i - 1]!)
        }
        expect(selection.kept.at(-1)).toBeLessThan(rows * columns)
        expect(createPruner(name).select(input, keep)).toEqual(selection)
      }),
    )
  })

  it('keeps exactly K unique tokens when all of them are alike, or have no features at all', () => {
    for (const value of [0, 1]) {
      const flat = (length: number) => new Float32Array(length).fill(value)
      const scores = Object.fromEntries(scoreNames.map((score) => [score, flat(30)]))
      const input = { grid: { rows: 5, columns: 6 }, ...scores, features: flat(90), keys: flat(60) }
      expect(new Set(createPruner(name).select(input, 11).kept).size).toBe(kept(30, 11))
    }
  })

  it('takes plain arrays and float64 as well as float32', () => {
    const input = randomInput(4, 6, 3)
    const plain = { ...input, ...Object.fromEntries(scoreNames.map((score) => [score, Array.from(input[score])])) }
    expect(createPruner(name).select(plain, 9)).toEqual(createPruner(name).select(input, 9))
  })

  it('keeps everything, unchanged, when K >= N', () => {
    for (const keep of [20, 21, '100%', 1000]) {
      const input = randomInput(4, 5, 8)
      const selection = createPruner(name).select(input, keep)
      expect([...selection.kept]).toEqual(Array.from({ length: 20 }, (_, i) => i))
      if (selection.rows) expect([...selection.rows]).toEqual([...input.features])
    }
  })

  it('returns K rows of the width of the features, if it merges', () => {
    const selection = createPruner(name).select(randomInput(5, 5, 2, 7), 8)
    expect(selection.rows !== undefined).toBe(methodInfo[name].merges)
    if (selection.rows) expect(selection.rows).toHaveLength(8 * 7)
  })

  it('reads no input that it does not declare', () => {
    const pruner = createPruner(name)
    expect(pruner.select(guarded(randomInput(4, 5, 1), pruner.needs), 7).kept).toHaveLength(kept(20, 7))
    const withAuto = guarded(randomInput(4, 5, 1), [...pruner.needs, 'deepScores'])
    expect(pruner.select(withAuto, 'auto').kept.length).toBeGreaterThan(0)
  })

  it('declares no input that it could do without', () => {
    const { needs, select } = createPruner(name)
    for (const missing of needs) {
      const rest = needs.filter((need) => need !== missing)
      expect(() => select(only(randomInput(4, 5, 1), rest), 7)).toThrow(ArgumentError)
      expect(() => select(only(randomInput(4, 5, 1), rest), 7)).toThrow(`${missing}: got undefined`)
    }
  })

  it('leaves its input as it was', () => {
    const input = randomInput(4, 5, 6)
    createPruner(name).select(input, 7)
    expect(input).toEqual(randomInput(4, 5, 6))
  })

  it.each(['7', 7, '35%', 0.35, '7/20', parseBudget(7)])('takes a budget as %o', (budget) => {
    expect(createPruner(name).select(randomInput(4, 5, 1), budget).kept).toHaveLength(kept(20, 7))
  })

  it("takes 'auto' with deep scores and refuses it without, even when it needs none itself", () => {
    const { needs, select } = createPruner(name)
    const input = randomInput(6, 6, 1)
    expect(select(only(input, [...needs, 'deepScores']), 'auto').kept.length).toBeGreaterThanOrEqual(4)
    const without = needs.filter((need) => need !== 'deepScores')
    expect(() => select(only(input, without), 'auto')).toThrow(/^deepScores: got undefined/)
  })

  it.each([0, -3, 1.5, NaN, Infinity, '0', '-1', '120%', 'some', ''])('refuses a budget of %s', (budget) => {
    expect(() => createPruner(name).select(randomInput(4, 5, 1), budget)).toThrow(ArgumentError)
  })

  it('refuses an empty grid', () => {
    for (const grid of [
      { rows: 0, columns: 4 },
      { rows: 4, columns: 0 },
    ]) {
      expect(() => createPruner(name).select({ ...randomInput(1, 1, 1), grid }, 1)).toThrow(
        /^grid\.(rows|columns): got 0/,
      )
    }
  })

  it('refuses scores that are not finite, empty, or of the wrong length', () => {
    const { needs, select } = createPruner(name)
    for (const need of needs) {
      const input = randomInput(4, 5, 1)
      const values = Array.from(input[need])
      const refuse = (wrong: ArrayLike<number>, message: string) => {
        expect(() => select({ ...input, [need]: wrong }, 7)).toThrow(message)
      }
      for (const bad of [NaN, Infinity, -Infinity]) refuse(values.with(3, bad), `${need}[3]: got ${bad}`)
      refuse([], `${need}: got Array of length 0, allowed:`)
      refuse(values.slice(1), `${need}: got Array of length ${values.length - 1}, allowed:`)
    }
  })
})

describe('without WebAssembly', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
    vi.resetModules()
  })

  it('plain loops choose the same tokens', async () => {
    const inputs = [1, 2, 3].map((seed) => randomInput(8, 9, seed, 20))
    const withIt = inputs.map((input) => prunerNames.map((name) => [...createPruner(name).select(input, 21).kept]))
    vi.stubGlobal('WebAssembly', undefined)
    vi.resetModules()
    const plain = await import('./registry.js')
    const without = inputs.map((input) =>
      prunerNames.map((name) => [...plain.createPruner(name).select(input, 21).kept]),
    )
    expect(without).toEqual(withIt)
  })
})

describe('methodInfo', () => {
  it('says of every method what its pruner says', () => {
    expect(Object.keys(methodInfo)).toEqual(prunerNames)
    for (const name of prunerNames) {
      expect(methodInfo[name].needs).toEqual(createPruner(name).needs)
      expect(createPruner(name).name).toBe(name)
      expect(methodInfo[name].licence).not.toBe('')
    }
  })

  it('is right about awareness of the prompt: only then another question can change the selection', () => {
    const aware = prunerNames.filter((name) => {
      const input = randomInput(6, 6, 4)
      const other = { ...input, relevance: Array.from(input.relevance).reverse() }
      const select = (asked: PruneInput) => [...createPruner(name).select(asked, 12).kept]
      return select(input).join() !== select(other).join()
    })
    expect(aware).toEqual(prunerNames.filter((name) => methodInfo[name].promptAware))
  })
})

describe('random', () => {
  it('follows the seed of the input, then the option', () => {
    const { grid } = randomInput(10, 10, 1)
    const select = (optionSeed: number, seed?: number) => {
      const input = seed === undefined ? { grid } : { grid, seed }
      return [...createPruner('random', { seed: optionSeed }).select(input, 9).kept]
    }
    expect(select(1)).toEqual(select(2, 1))
    expect(select(1)).not.toEqual(select(2))
  })
})

describe('grid', () => {
  it('spreads over the picture: no quarter gets less than half of its share', () => {
    const { kept } = createPruner('grid').select({ grid: { rows: 24, columns: 24 } }, 64)
    const quarters = [0, 0, 0, 0]
    for (const token of kept) quarters[(token < 288 ? 0 : 2) + (token % 24 < 12 ? 0 : 1)]!++
    for (const count of quarters) expect(count).toBe(16)
  })
})

it('an unknown name is refused with the known ones', () => {
  const unknown = (name: string) => () => createPruner(name as PrunerName)
  expect(unknown('hyprune')).toThrow(`method: got "hyprune", allowed: ${prunerNames.join(', ')}`)
  expect(unknown('toString')).toThrow(/^method: got "toString"/)
})
