import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPruner, prunerNames } from './registry.js'

/** Enough of every score for every method. */
function inputOf(rows: number, columns: number, seed = 1) {
  const scores = Array.from({ length: rows * columns }, (_, i) => ((i * 7919 + seed * 104729) % 1009) / 1009)
  return { grid: { rows, columns }, objectScores: scores, deepScores: [...scores].reverse(), seed }
}

describe.each(prunerNames.filter((name) => name !== 'none'))('%s', (name) => {
  it('keeps exactly K, ascending and unique, deterministically', () => {
    const size = fc.integer({ min: 1, max: 30 })
    fc.assert(
      fc.property(size, size, fc.integer({ min: 1, max: 900 }), fc.nat(99), (rows, columns, keep, seed) => {
        const { kept, roles } = createPruner(name).select(inputOf(rows, columns, seed), keep)
        expect(kept).toHaveLength(Math.min(keep, rows * columns))
        expect(roles).toHaveLength(kept.length)
        for (let i = 1; i < kept.length; i++) expect(kept[i]).toBeGreaterThan(kept[i - 1]!)
        expect(kept.at(-1)).toBeLessThan(rows * columns)
        expect(createPruner(name).select(inputOf(rows, columns, seed), keep)).toEqual({ kept, roles })
      }),
    )
  })

  it('declares its needs truly: any input that it does not name is not read', () => {
    const pruner = createPruner(name)
    const input = new Proxy(inputOf(4, 5), {
      get(target, key) {
        if (key !== 'grid' && key !== 'seed' && !pruner.needs.includes(key as never))
          throw new Error(`read ${String(key)}`)
        return Reflect.get(target, key) as unknown
      },
    })
    expect(pruner.select({ ...pickDeclared(input, pruner.needs) }, 7).kept).toHaveLength(7)
  })
})

/** Reads only what is declared, so that an undeclared read inside `select` finds undefined and fails there. */
function pickDeclared(input: ReturnType<typeof inputOf>, needs: readonly string[]) {
  const entries = ['grid', 'seed', ...needs].map((key) => [key, input[key as keyof typeof input]])
  return Object.fromEntries(entries) as ReturnType<typeof inputOf>
}

describe('none', () => {
  it('keeps all whatever the budget', () => expect(createPruner('none').select(inputOf(3, 3), 2).kept).toHaveLength(9))
})

describe('random', () => {
  it('follows the seed of the input, then the option', () => {
    const { grid } = inputOf(10, 10)
    const select = (optionSeed: number, seed?: number) => {
      return [
        ...createPruner('random', { seed: optionSeed }).select(seed === undefined ? { grid } : { grid, seed }, 9).kept,
      ]
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
  expect(() => createPruner('hyprune' as never)).toThrow(/^method: got "hyprune", allowed: hiprune, random, grid, none/)
  expect(() => createPruner('toString' as never)).toThrow(/^method: got "toString"/)
})
