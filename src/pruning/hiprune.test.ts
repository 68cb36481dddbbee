import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readGolden, readGoldenBin, type BinReference } from '../../test/golden.js'
import { topK } from '../numeric/top-k.js'
import { parseBudget, resolveBudget } from './budget.js'
import { bufferShapes, buffersOf, buffersPerAnchor } from './buffers.js'
import { anchorCount, hiprune } from './hiprune.js'
import { TokenRole, type PatchGrid, type TokenSelection } from './types.js'

interface GoldenCase {
  /** A count (CLIP, SigLIP) or, as `retain`, a ratio (Qwen). */
  retention?: number
  retain?: number
  alpha: number
  object_layer: number
  visual_token_num?: number
  anchors: number[]
  shallow_set: number[]
  registers: number[]
  kept: number[]
  repicked?: number[]
  error?: string
}

const tokensOf = ({ kept, roles }: TokenSelection, ...wanted: number[]) =>
  [...kept].filter((_, i) => wanted.includes(roles[i]!))
const ascending = (values: Iterable<number>) => [...values].sort((a, b) => a - b)

/** The public code's answer, or exactly K tokens where it crashes or falls short. Returns whether it had an answer. */
function expectCase(scores: ArrayLike<number>[], deep: number, grid: PatchGrid, golden: GoldenCase): boolean {
  const keep = golden.visual_token_num ?? golden.retention ?? golden.retain!
  const input = { grid, objectScores: scores[golden.object_layer - 1]!, deepScores: scores.at(deep)! }
  const selection = hiprune({ alpha: golden.alpha, borders: 'clamp' }).select(input, keep)
  const exactly = resolveBudget(parseBudget(keep), grid.rows * grid.columns)
  expect(selection.kept).toHaveLength(exactly)
  if (golden.error || golden.kept.length < exactly) return false
  expect([...selection.kept]).toEqual(golden.kept)
  expect(tokensOf(selection, TokenRole.anchor)).toEqual(ascending(golden.anchors))
  expect(tokensOf(selection, TokenRole.anchor, TokenRole.buffer)).toEqual(golden.shallow_set)
  expect(tokensOf(selection, TokenRole.register)).toEqual(ascending(golden.registers))
  return true
}

describe("borders: 'clamp' equals the paper's public code", () => {
  interface Tower {
    grid: [number, number]
    deep_attentions_index: number
    images: { scores: number[][]; cases: GoldenCase[] }[]
    batches: {
      scores_bin: BinReference
      cases: { alpha: number; object_layer: number; retention: number; tiles?: GoldenCase[]; error?: string }[]
    }[]
  }

  it.each(['clip', 'siglip'])('%s: single images', (name) => {
    const { grid, deep_attentions_index, images } = readGolden<Tower>(name)
    const [rows, columns] = grid
    let equal = 0
    let crashed = 0
    for (const image of images) {
      for (const golden of image.cases) {
        const answered = expectCase(image.scores, deep_attentions_index, { rows, columns }, golden)
        if (answered) equal++
        else crashed++
      }
    }
    expect(equal).toBeGreaterThan(400)
    // alpha = 1 with budgets below one cross: the public code's top-k is asked for a negative count.
    expect(crashed).toBeGreaterThan(0)
  })

  it.each(['clip', 'siglip'])('%s: tiles of a batch', (name) => {
    const { grid, deep_attentions_index, batches } = readGolden<Tower>(name)
    let compared = 0
    for (const { scores_bin, cases } of batches) {
      const [layers, tiles, tokens] = scores_bin.shape as [number, number, number]
      const flat = readGoldenBin(scores_bin)
      for (const { tiles: goldenTiles, ...shared } of cases) {
        goldenTiles?.forEach((golden, tile) => {
          const scores = Array.from({ length: layers }, (_, l) =>
            flat.subarray((l * tiles + tile) * tokens, (l * tiles + tile + 1) * tokens),
          )
          expectCase(scores, deep_attentions_index, { rows: grid[0], columns: grid[1] }, { ...golden, ...shared })
          compared++
        })
      }
    }
    expect(compared).toBeGreaterThanOrEqual(40)
  })

  it('qwen: where its own shortfall does not strike', () => {
    const { images } = readGolden<{
      images: { token_grid: [number, number]; modes: { eager: { scores: number[][]; cases: GoldenCase[] } } }[]
    }>('qwen_vision')
    let equal = 0
    let short = 0
    for (const { token_grid, modes } of images) {
      const [rows, columns] = token_grid
      for (const golden of modes.eager.cases) {
        // The public code subtracts 1 from chosen scores, which are sums and may stay the largest: it then picks them twice.
        if (expectCase(modes.eager.scores, -1, { rows, columns }, golden)) equal++
        else short++
      }
    }
    expect(equal).toBeGreaterThan(200)
    expect(short).toBeGreaterThan(0)
  })

  it('counts anchors as Python rounds', () => {
    const { rows } = readGolden<{ rows: { alpha: number; shallow_token_num: number[] }[] }>('rounding')
    for (const { alpha, shallow_token_num } of rows) {
      shallow_token_num.forEach((count, keep) => expect(anchorCount(keep, alpha, 'cross')).toBe(count))
    }
  })
})

describe("the paper's own numbers", () => {
  it.each([
    [192, 4],
    [128, 3],
    [64, 1],
  ])('%i tokens give %i anchors', (keep, anchors) => expect(anchorCount(keep, 0.1, 'cross')).toBe(anchors))
})

const gridAndScores = fc
  .record({ rows: fc.integer({ min: 1, max: 12 }), columns: fc.integer({ min: 1, max: 12 }) })
  .chain((grid) => {
    const scores = fc.array(fc.integer({ min: 0, max: 50 }), {
      minLength: grid.rows * grid.columns,
      maxLength: grid.rows * grid.columns,
    })
    return fc.record({ grid: fc.constant(grid), objectScores: scores, deepScores: scores })
  })
const options = fc.record({
  alpha: fc.double({ min: 0, max: 1, noNaN: true }),
  shape: fc.constantFrom(...bufferShapes),
})

describe("borders: 'grid'", () => {
  it('keeps exactly K ascending, unique tokens, the same ones each time', () => {
    fc.assert(
      fc.property(gridAndScores, options, fc.integer({ min: 1, max: 200 }), (input, opts, keep) => {
        const { kept, roles } = hiprune(opts).select(input, keep)
        const numTokens = input.grid.rows * input.grid.columns
        expect(kept).toHaveLength(Math.min(keep, numTokens))
        expect(roles).toHaveLength(kept.length)
        for (let i = 1; i < kept.length; i++) expect(kept[i]).toBeGreaterThan(kept[i - 1]!)
        expect(kept.at(-1)).toBeLessThan(numTokens)
        expect(hiprune(opts).select(input, keep)).toEqual({ kept, roles })
      }),
    )
  })

  it('anchors are the best of the object layer, buffers touch an anchor, registers are the best of the rest', () => {
    fc.assert(
      fc.property(gridAndScores, options, fc.integer({ min: 1, max: 144 }), (input, opts, keep) => {
        const selection = hiprune(opts).select(input, keep)
        const anchors = tokensOf(selection, TokenRole.anchor)
        const wanted = topK(
          input.objectScores,
          anchorCount(Math.min(keep, input.objectScores.length), opts.alpha, opts.shape),
        )
        expect([...wanted]).toEqual(expect.arrayContaining(anchors))
        const around = new Set(anchors.flatMap((anchor) => buffersOf(anchor, input.grid, opts.shape, 'grid')))
        const shallow = tokensOf(selection, TokenRole.anchor, TokenRole.buffer)
        for (const buffer of tokensOf(selection, TokenRole.buffer)) expect(around).toContain(buffer)
        const taken = Uint8Array.from(input.deepScores, (_, i) => (shallow.includes(i) ? 1 : 0))
        const registers = tokensOf(selection, TokenRole.register)
        expect(registers).toEqual(ascending(topK(input.deepScores, registers.length, taken)))
        if (registers.length > 0) expect(anchors).toEqual(ascending(wanted))
      }),
    )
  })

  it("no buffer lies across a row's end or off the grid", () => {
    fc.assert(
      fc.property(gridAndScores, fc.constantFrom(...bufferShapes), fc.nat(), ({ grid }, shape, n) => {
        const anchor = n % (grid.rows * grid.columns)
        const buffers = buffersOf(anchor, grid, shape, 'grid')
        expect(buffers.length).toBeLessThanOrEqual(buffersPerAnchor(shape))
        expect(buffers).toEqual(ascending(new Set(buffers)))
        for (const buffer of buffers) {
          expect(Math.abs((buffer % grid.columns) - (anchor % grid.columns))).toBeLessThanOrEqual(1)
          expect(Math.abs(Math.floor(buffer / grid.columns) - Math.floor(anchor / grid.columns))).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  it('keeps everything when K >= N', () => {
    fc.assert(
      fc.property(gridAndScores, options, (input, opts) => {
        const numTokens = input.objectScores.length
        const { kept, roles } = hiprune(opts).select(input, numTokens + 1)
        expect([...kept]).toEqual(Array.from({ length: numTokens }, (_, i) => i))
        expect([...roles]).not.toContain(TokenRole.none)
      }),
    )
  })

  it('worked by hand: 3 x 4, one anchor in a corner', () => {
    const objectScores = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    const deepScores = [0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 7]
    const selection = hiprune({ alpha: 1 }).select({ grid: { rows: 3, columns: 4 }, objectScores, deepScores }, 5)
    // anchor 0; buffers 1 (right) and 4 (below); registers 11, then 3 before 7 because the lower index wins.
    expect([...selection.kept]).toEqual([0, 1, 3, 4, 11])
    expect([...selection.roles]).toEqual([1, 2, 3, 2, 3])
  })
})

describe('refusals', () => {
  const grid = { rows: 2, columns: 2 }
  const good = { grid, objectScores: [1, 2, 3, 4], deepScores: [1, 2, 3, 4] }
  const select = (input: object, budget: number | string = 2) => hiprune().select({ ...good, ...input }, budget)

  it.each([
    ['a missing score', () => select({ deepScores: undefined }), /^deepScores: got undefined/],
    [
      'a short score',
      () => select({ objectScores: [1, 2] }),
      /^objectScores: got Array of length 2, allowed: 4 values/,
    ],
    ['NaN', () => select({ deepScores: [1, NaN, 3, 4] }), /^deepScores\[1\]: got NaN/],
    ['Infinity', () => select({ objectScores: [1, 2, Infinity, 4] }), /^objectScores\[2\]: got Infinity/],
    ['a hole', () => select({ objectScores: [1, 2, undefined, 4] }), /^objectScores\[2\]: got undefined/],
    ['no rows', () => select({ grid: { rows: 0, columns: 4 } }), /^grid.rows: got 0/],
    ['half a row', () => select({ grid: { rows: 0.5, columns: 8 } }), /^grid.rows: got 0.5/],
    ['K = 0', () => select({}, 0), /^budget: got 0/],
    ['K < 0', () => select({}, -3), /^budget: got -3/],
    ['alpha > 1', () => hiprune({ alpha: 1.1 }), /^alpha: got 1.1, allowed: a number from 0 to 1/],
    ['alpha NaN', () => hiprune({ alpha: NaN }), /^alpha: got NaN/],
    ['a shape', () => hiprune({ shape: 'ring' as never }), /^shape: got "ring", allowed: square, cross/],
    ['borders', () => hiprune({ borders: 'wrap' as never }), /^borders: got "wrap"/],
  ])('%s', (_, act, message) => expect(act).toThrow(message))
})
