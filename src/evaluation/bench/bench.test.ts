import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { format } from 'prettier'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadPruned, type PrunedModel } from '../../generation/load-pruned.js'
import { tapAttention } from '../../onnx/index.js'
import { concatBytes } from '../../onnx/wire.js'
import { shapeModelFiles, questionOf } from '../shape-models/model-folder.js'
import { bytesOf } from '../shape-models/random-file.js'
import { shapeSizes } from '../shape-models/sizes.js'
import { benchImage } from './bench-image.js'
import { benchModel, type ModelBench } from './bench-model.js'
import { checkComparison, encoderSizes, readComparison } from './comparison.js'
import { judge, paperPrefillShare } from './goals.js'
import { measureLeak, slopeOf } from './leak.js'
import { markdownTable } from './markdown-table.js'
import { renderBench, type BenchReport } from './report.js'
import { ratios, summarise } from './summary.js'

const sizes = shapeSizes('tiny')
const machine = {
  date: '2026-01-02',
  cpu: 'a processor',
  cores: 2,
  memoryBytes: 2 ** 33,
  versions: { Node: 'v20' },
  threads: '1',
  load: [0.1, 0.2] as const,
}

describe('statistics', () => {
  it('median of odd and even counts, range, ratios by round', () => {
    expect(summarise([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3, runs: 3 })
    expect(summarise([4, 1, 2, 3]).median).toBe(2.5)
    expect(ratios([10, 40, 30], [5, 10, 10])).toEqual({ median: 3, low: 2, high: 4, runs: 3 })
    expect(() => summarise([])).toThrow(/no measurements/)
  })

  it('slope of a line, whatever its height, and of noise around it', () => {
    expect(slopeOf([5, 7, 9, 11])).toBe(2)
    expect(slopeOf(Array<number>(50).fill(8e8))).toBe(0)
    expect(slopeOf(Array.from({ length: 200 }, (_, i) => 1e9 + 40_000 * i + (i % 2) * 1e6))).toBeCloseTo(40_000, -3)
    expect(slopeOf([4])).toBe(0)
  })

  it("the paper's clock reaches 73 % of its FLOP ratio", () => {
    expect(paperPrefillShare().toFixed(2)).toBe('0.73')
  })
})

describe('a shape model, benched', () => {
  let folder: string
  let loaded: PrunedModel
  let bench: ModelBench
  const memory: number[] = []
  const runs: string[] = []
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-bench-'))
    await mkdir(path.join(folder, 'onnx'))
    for (const file of shapeModelFiles(sizes, 1))
      await writeFile(path.join(folder, file.name), concatBytes([...bytesOf(file)].map((part) => part.slice())))
    loaded = await loadPruned(folder, { dtype: 'fp32' })
    bench = await benchModel(loaded, {
      name: 'tiny',
      source: { modelId: folder },
      images: [benchImage(1)],
      question: questionOf(46),
      budgets: ['1/3', 4],
      method: 'hiprune',
      repeat: 2,
      newTokens: 3,
      host: {
        resetPeak: () => memory.push(0),
        peakBytes: () => 1000 + memory.length,
        residentBytes: () => 1000,
      },
      onRun: (what, done, total) => runs.push(`${what} ${done}/${total}`),
    })
  })
  afterAll(async () => {
    await loaded.model.dispose()
    await rm(folder, { recursive: true })
  })

  it('measures every stage of every variant, all tokens first', () => {
    expect(bench.variants.map(({ budget, method, keptTokens }) => [budget, method, keptTokens])).toEqual([
      ['all', 'none', 36],
      ['1/3', 'hiprune', 12],
      ['4', 'hiprune', 4],
    ])
    for (const { stages, newTokens } of bench.variants) {
      expect(newTokens).toBe(3)
      expect(Object.keys(stages)).toHaveLength(6)
      for (const { times, speedUp } of Object.values(stages)) {
        expect(times.runs).toBe(2)
        expect(times.low).toBeGreaterThan(0)
        expect(times.low <= times.median && times.median <= times.high).toBe(true)
        expect(speedUp.median).toBeGreaterThan(0)
      }
    }
    for (const { median } of Object.values(bench.variants[0]!.stages).map(({ speedUp }) => speedUp))
      expect(median).toBe(1)
    expect(runs).toContain('tiny: stages 10/10')
    expect(runs.at(-1)).toBe('tiny: encoder 2/2')
  })

  it('the ideal is the ratio of prompt tokens where only linear layers count, more with attention', () => {
    const { prefill, prefillExecuted, timeToFirstToken } = bench.variants[1]!.ideal!
    expect(prefill).toBeCloseTo(85 / 61, 12)
    expect(prefillExecuted).toBeGreaterThan(1)
    expect(timeToFirstToken).toBeGreaterThan(1)
    expect(timeToFirstToken).toBeLessThan(prefill)
    expect(bench.variants[0]!.ideal).toEqual({ prefill: 1, prefillExecuted: 1, timeToFirstToken: 1 })
  })

  it('memory is taken from few tokens to many, encoders alone', () => {
    expect(bench.variants.map(({ peakBytes }) => peakBytes)).toEqual([1003, 1002, 1001])
    expect(bench.encoder).toMatchObject({ plainBytes: 4, tappedBytes: 5, layers: { object: 2, deep: 4 } })
    expect(bench.encoder!.ratio.runs).toBe(2)
    expect(bench.encoderSizes).toEqual(sizes.vision)
  })

  it('has nothing to compare with where the file was tapped beforehand', async () => {
    const copy = path.join(folder, 'tapped')
    await cp(path.join(folder, 'onnx'), path.join(copy, 'onnx'), { recursive: true })
    for (const name of [
      'config',
      'generation_config',
      'preprocessor_config',
      'processor_config',
      'tokenizer',
      'tokenizer_config',
    ])
      await cp(path.join(folder, `${name}.json`), path.join(copy, `${name}.json`))
    const encoder = path.join(copy, 'onnx/vision_encoder.onnx')
    await writeFile(encoder, tapAttention(new Uint8Array(await readFile(encoder)), { layers: [2, 4], keys: [4] }))
    const tapped = await loadPruned(copy, { dtype: 'fp32' })
    const result = await benchModel(tapped, {
      name: 'tapped',
      source: { modelId: copy },
      images: [benchImage(1)],
      question: questionOf(5),
      budgets: ['1/3'],
      method: 'hiprune',
      repeat: 1,
      newTokens: 1,
    })
    await tapped.model.dispose()
    expect([result.encoder, result.variants[0]!.stages.decodeMsPerToken]).toEqual([undefined, undefined])
    expect(judge([result])[1]).toMatchObject({ met: undefined, measured: 'not measured' })
    expect(renderBench({ command: 'x', machine, seed: 1, repeat: 1, models: [result] })).not.toContain(
      '### The encoder',
    )
  })

  it('judges: KV cache met, prefill not asked of 36 tokens, selection by numbers', () => {
    const goals = judge([bench])
    expect([goals[0]!.met, goals[2]!.met]).toEqual([undefined, true])
    expect(goals[0]!.measured).toMatch(/of 1.39 x; .* asked of 576 tokens, not of 36/)
    const wasteful = bench.variants.map((variant, i) => (i === 1 ? { ...variant, kvCacheBytes: 99_999 } : variant))
    expect(judge([{ ...bench, variants: wasteful }])[2]!.met).toBe(false)
    const twice = bench.variants.map((variant) => ({ ...variant, kvCacheBytes: variant.kvCacheBytes * 2 }))
    expect(judge([{ ...bench, variants: twice }])[2]!.met).toBe(false)
    const cheap = { ...bench.encoder!, addedShare: 0.001, plain: { ...bench.encoder!.plain, median: 1e6 } }
    expect(judge([{ ...bench, encoder: cheap }])[1]!.met).toBe(true)
    expect(judge([{ ...bench, encoder: { ...cheap, addedShare: 0.02 } }])[1]!.met).toBe(false)
  })

  it('without a profile, judges taps only where the wall clock is clear', () => {
    const { addedShare: _, ...encoder } = { ...bench.encoder!, addedShare: 0 }
    const plain = { ...encoder.plain, median: 1e6 }
    const met = (ratios: number[]) =>
      judge([{ ...bench, encoder: { ...encoder, plain, ratio: summarise(ratios) } }])[1]!.met
    expect([met([0.9, 1.002, 1.005]), met([0.9, 1, 1.05]), met([1.02, 1.03, 1.04])]).toEqual([true, undefined, false])
  })

  it('judges prefill from 576 tokens on', () => {
    const third = bench.variants[1]!
    const at = (speedUp: number) => {
      const stages = { ...third.stages, prefillMs: { ...third.stages.prefillMs!, speedUp: summarise([speedUp]) } }
      const large = { ...third, visualTokens: 576, keptTokens: 192, stages, ideal: { ...third.ideal!, prefill: 2.5 } }
      return judge([{ ...bench, variants: [bench.variants[0]!, large] }])[0]!
    }
    expect([at(2.26).met, at(2.24).met]).toEqual([true, false])
  })

  it('follows memory over calls, and finds a leak', async () => {
    let bytes = 0
    const host = { residentBytes: () => (bytes += 60_000), collectGarbage: () => undefined }
    const leak = (await measureLeak(loaded, benchImage(1), questionOf(5), 6, host))!
    expect(leak.bytesPerCall).toBeCloseTo(60_000, 3)
    expect(leak.residentBytes).toHaveLength(6)
    const [goal] = judge([], { ...leak, model: 'tiny' })
    expect(goal).toMatchObject({ met: false, measured: '60.0 KB a call over 6 calls, from 0 MiB to 0 MiB' })
    expect(judge([], { ...leak, bytesPerCall: 49_999, model: 'tiny' })[0]!.met).toBe(true)
    expect(await measureLeak(loaded, benchImage(1), questionOf(5), 1, {})).toBeUndefined()
  })

  it('renders Markdown as prettier writes it', async () => {
    const comparison = readComparison(JSON.stringify(pytorch(sizes.vision)), 'x.json')
    const report: BenchReport = { command: 'hiprune bench', machine, seed: 1, repeat: 2, models: [bench], comparison }
    const text = renderBench(report)
    for (const part of [
      '8 GiB',
      'load average 0.10 before',
      '## tiny',
      'speed-up (ideal)',
      'PyTorch 2.13, eager',
      '1.500 x',
    ])
      expect(text).toContain(part)
    expect(await format(`${text}\n`, { parser: 'markdown', printWidth: 120 })).toBe(`${text}\n`)
  })

  it('checks that PyTorch measured the same encoder', () => {
    const same = readComparison(JSON.stringify(pytorch(sizes.vision)), 'x.json')
    expect(() => checkComparison(same, [{ ...sizes.vision, width: 8 }, bench.encoderSizes])).not.toThrow()
    const other = readComparison(JSON.stringify(pytorch({ ...sizes.vision, layers: 5 })), 'x.json')
    expect(() => checkComparison(other, [bench.encoderSizes])).toThrow(
      /--compare: got ".* 5 layers", allowed: the encoder that is measured: 84.14 px, 32 x 64, 2 heads, 4 layers$/,
    )
    expect(() => checkComparison(other, [undefined])).not.toThrow()
  })
})

const pytorch = (encoder: object) => ({
  sizes: encoder,
  threads: 1,
  versions: { torch: '2.13' },
  plain: { timesMs: [10, 20], extraBytes: 100 },
  eager: { timesMs: [15, 30], extraBytes: 900 },
})

describe('what PyTorch measured', () => {
  it('reads times, ratios and memory', () => {
    const { plain, ratio, eagerBytes } = readComparison(JSON.stringify(pytorch(sizes.vision)), 'x.json')
    expect([plain.median, ratio.median, eagerBytes]).toEqual([15, 1.5, 900])
  })

  it.each([
    ['{', /x.json: not JSON; expected what training\/compare_encoder.py --json writes/],
    ['{}', /x.json: no sizes of the encoder/],
    [JSON.stringify({ ...pytorch(sizes.vision), eager: { timesMs: [1] } }), /x.json: no times of both ways/],
    [JSON.stringify({ ...pytorch(sizes.vision), plain: { timesMs: [] } }), /x.json: no times of both ways/],
  ])('refuses %s', (text, message) => {
    expect(() => readComparison(text, 'x.json')).toThrow(message)
  })

  it('configurations without all sizes have none', () => {
    expect(encoderSizes({})).toBeUndefined()
    expect(encoderSizes({ vision_config: { image_size: 336 } })).toBeUndefined()
  })
})

it('tables are aligned', () => {
  expect(
    markdownTable([
      ['', 'b'],
      ['long', 'x'],
    ]),
  ).toBe('|      | b   |\n| ---- | --- |\n| long | x   |')
})
