import { describe, expect, it } from 'vitest'
import {
  ascending,
  onRandomInputs,
  randomInput,
  rowsOf,
  slowCosine,
  slowRanking,
  type FullInput,
} from '../../test/random-input.js'
import { visionzip, type VisionZipOptions } from './visionzip.js'

/** Row of every kept token in float64, in raster order. */
function slow(input: FullInput, keep: number, contextual: number): Map<number, number[]> {
  const numTokens = input.clsScores.length
  const features = rowsOf(input.features, numTokens)
  const keys = rowsOf(input.keys, numTokens)
  const dominant = slowRanking(input.clsScores).slice(0, keep - contextual)
  const rest = features.map((_, i) => i).filter((i) => !dominant.includes(i))
  const step = Math.max(1, Math.floor(rest.length / contextual))
  const targets = rest.filter((_, place) => place % step === 0).slice(0, contextual)
  const joined = new Map(targets.map((target) => [target, [] as number[]]))
  for (const token of rest.filter((each) => !targets.includes(each))) {
    const similarity = targets.map((target) => slowCosine(keys[token]!, keys[target]!))
    const best = targets[slowRanking(similarity)[0]!]
    if (best !== undefined) joined.get(best)!.push(token)
  }
  const rows = new Map(dominant.map((token) => [token, features[token]!]))
  for (const [target, tokens] of joined) {
    const mean = (d: number) => tokens.reduce((sum, token) => sum + features[token]![d]! / tokens.length, 0)
    rows.set(
      target,
      features[target]!.map((value, d) => value + mean(d)),
    )
  }
  return rows
}

const contextualOf = (keep: number) => [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4][keep]

describe('visionzip', () => {
  it('equals dominant tokens and merged targets in float64', () => {
    onRandomInputs(100, (input, someKeep) => {
      const keep = Math.min(someKeep, 24)
      const expected = slow(input, keep, contextualOf(keep)!)
      const { kept, rows } = visionzip().select(input, keep)
      expect([...kept]).toEqual(ascending(expected.keys()))
      const flat = [...kept].flatMap((token) => expected.get(token)!)
      flat.forEach((value, i) => expect(rows![i]).toBeCloseTo(value, 5))
    })
  })

  it.each([
    [192, 30],
    [128, 20],
    [64, 10],
  ])('%i tokens have the paper’s %i contextual ones', (keep, contextual) => {
    const input = randomInput(24, 24, 1)
    const { kept } = visionzip({ order: 'original' }).select(input, keep)
    const dominant = ascending(slowRanking(input.clsScores).slice(0, keep - contextual))
    expect([...kept.subarray(0, keep - contextual)]).toEqual(dominant)
    for (let i = keep - contextual + 1; i < keep; i++) expect(kept[i]).toBeGreaterThan(kept[i - 1]!)
  })

  it("order: 'original' gives the same tokens and rows in another order", () => {
    onRandomInputs(30, (input, keep) => {
      const raster = visionzip().select(input, keep)
      const original = visionzip({ order: 'original' }).select(input, keep)
      expect(ascending(original.kept)).toEqual([...raster.kept])
      const width = raster.rows!.length / keep
      original.kept.forEach((token, i) => {
        const at = raster.kept.indexOf(token)
        expect([...original.rows!.subarray(i * width, (i + 1) * width)]).toEqual([
          ...raster.rows!.subarray(at * width, (at + 1) * width),
        ])
      })
    })
  })

  it('without contextual tokens it is CLS attention with unchanged rows, and with nothing else all is merged', () => {
    const input = randomInput(4, 6, 5, 3)
    const plain = visionzip({ contextualRatio: 0 }).select(input, 7)
    expect([...plain.kept]).toEqual(ascending(slowRanking(input.clsScores).slice(0, 7)))
    expect([...plain.rows!]).toEqual([...plain.kept].flatMap((i) => [...input.features.subarray(i * 3, i * 3 + 3)]))
    expect([...visionzip({ contextualRatio: 1 }).select(input, 4).kept]).toEqual([0, 6, 12, 18])
  })

  it.each([
    [{ contextualRatio: 1.5 }, /^contextualRatio: got 1.5, allowed: a number from 0 to 1/],
    [{ contextualRatio: NaN }, /^contextualRatio: got NaN/],
    [{ order: 'theirs' as never }, /^order: got "theirs", allowed: raster, original/],
  ] as [VisionZipOptions, RegExp][])('refuses %o', (options, message) => {
    expect(() => visionzip(options)).toThrow(message)
  })
})
