import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hiprune } from '../cli.js'

interface Json {
  command: string
  machine: { versions: Record<string, string>; load: [number, number] }
  models: {
    name: string
    variants: { keptTokens: number; promptTokens: number; peakBytes?: number }[]
    encoder: object
  }[]
  leak: { calls: number; residentBytes: number[] }
  comparison: { ratio: { median: number } }
  goals: { goal: string; model: string; met?: boolean }[]
}

const quick = ['--shape', 'tiny', '--repeat', '1', '--max-tokens', '2', '--threads', '1']
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-bench-cli-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('hiprune bench', () => {
  it('benches the embedded model and a shape model in one report, with leak test and comparison', async () => {
    const compare = path.join(folder, 'encoder.json')
    const sizes = { image: 84, patch: 14, width: 32, hidden: 64, heads: 2, layers: 4 }
    const times = { plain: { timesMs: [2] }, eager: { timesMs: [3] } }
    await writeFile(compare, JSON.stringify({ sizes, threads: 1, versions: { torch: '2' }, ...times }))
    const out = path.join(folder, 'report.md')
    const args = [
      ...quick,
      '--model',
      'demo',
      '--keep',
      '1/3',
      '--leak',
      '2',
      '--compare',
      compare,
      '-o',
      out,
      '--json',
    ]
    const { code, stdout, stderr } = await hiprune('bench', ...args)
    expect([code, stderr]).toEqual([0, ''])
    const report = JSON.parse(stdout) as Json
    expect(report.models.map(({ name }) => name)).toEqual(['demo-vlm', 'tiny, random weights'])
    expect(report.models[1]!.variants.map(({ keptTokens, promptTokens }) => [keptTokens, promptTokens])).toEqual([
      [36, 85],
      [12, 61],
    ])
    expect(report.leak.residentBytes).toHaveLength(2)
    expect(report.comparison.ratio.median).toBe(1.5)
    expect(report.goals.map(({ model }) => model)).toHaveLength(7)
    expect(report.goals.filter(({ goal }) => goal.startsWith('KV')).map(({ met }) => met)).toEqual([true, true])
    expect(report.command).not.toContain(folder)
    const markdown = await readFile(out, 'utf8')
    for (const part of ['## Goals', '## demo-vlm', '## tiny, random weights', 'PyTorch 2, eager', 'load average'])
      expect(markdown).toContain(part)
    expect(markdown).not.toContain(folder)
  }, 180_000)

  it('keeps a shape model where asked, uses it again, and changes sizes', async () => {
    const kept = path.join(folder, 'shape')
    const args = [...quick, '--shape-folder', kept, '--size', 'vision.layers=3,text.layers=1', '--keep', '4', '--json']
    const first = await hiprune('bench', ...args)
    expect(first.code).toBe(0)
    const [{ variants }] = (JSON.parse(first.stdout) as Json).models as [Json['models'][0]]
    expect(variants.map(({ keptTokens }) => keptTokens)).toEqual([36, 4])
    expect((await readdir(kept)).sort()).toContain('shape.json')
    const encoder = path.join(kept, 'onnx/vision_encoder.onnx')
    const { mtimeMs } = await stat(encoder)
    expect((await hiprune('bench', ...args)).code).toBe(0)
    expect((await stat(encoder)).mtimeMs).toBe(mtimeMs)
    expect((await hiprune('bench', ...args, '--seed', '2')).code).toBe(0)
    expect((await stat(encoder)).mtimeMs).toBeGreaterThan(mtimeMs)
  }, 180_000)

  it('refuses a comparison with another encoder before it measures anything', async () => {
    const compare = path.join(folder, 'other.json')
    const sizes = { image: 336, patch: 14, width: 1024, hidden: 4096, heads: 16, layers: 23 }
    const times = { plain: { timesMs: [2] }, eager: { timesMs: [3] } }
    await writeFile(compare, JSON.stringify({ sizes, threads: 1, versions: {}, ...times }))
    const { code, stderr } = await hiprune('bench', '--compare', compare, '--repeat', '1000000')
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /--compare: got "336.14 px, .* 23 layers", allowed: the encoder that is measured: \d+.16 px, 128 x /,
    )
  })

  it.each([
    [['--shape', 'huge'], 2, /shape: got "huge", allowed: vit-l-0.5b/],
    [['--size', 'text.layers=2'], 2, /--size: got "text.layers=2", allowed: sizes, with --shape/],
    [['--shape', 'tiny', '--size', 'layers'], 2, /--size: got "layers", allowed: sizes such as/],
    [['--shape', 'tiny', '--text', '3'], 2, /--text: got "3", allowed: an integer from 4/],
    [['--method', 'magic'], 2, /--method: got "magic"/],
    [['--keep', '1/3,none'], 2, /"none"/],
    [['--leak', 'x'], 2, /--leak: got "x"/],
    [['-o', 'report.txt'], 2, /--out: got "report.txt", allowed: a file name that ends in .md/],
    [['--compare', 'nowhere.json'], 1, /nowhere.json: no such file; training\/compare_encoder.py/],
    [['--compare', 'package.json'], 1, /package.json: no sizes of the encoder/],
  ])('%j: exit %i, one line', async (args, expected, message) => {
    const { code, stderr } = await hiprune('bench', ...args)
    expect([code, stderr.trim().split('\n').length]).toEqual([expected, 1])
    expect(stderr).toMatch(message)
  })
})
