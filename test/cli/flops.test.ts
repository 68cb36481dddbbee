import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { hiprune, repository } from '../cli.js'

interface Json {
  source: string
  rows: {
    preset: string
    tokens: { visual: number; kept: number }
    flops: { llm: number; encoder: number }
    kvCacheBytes: number
  }[]
}

describe('hiprune flops', () => {
  it("prints the paper's TFLOPs of LLaVA-1.5-7B, and what HiPrune++ adds", async () => {
    const { code, stdout, stderr } = await hiprune('flops', '--keep', '192,128,64')
    expect([code, stderr]).toEqual([0, ''])
    for (const number of ['8.63 TFLOPs', '3.56 TFLOPs', '2.71 TFLOPs', '1.87 TFLOPs', '58.7 %', '13.99 GFLOPs'])
      expect(stdout).toContain(number)
    expect(stdout).toContain('312.5 MiB') // 625 tokens of half a mebibyte
  })

  it('counts a model folder by its config and by its graphs, with every preset', async () => {
    const model = path.join(repository, 'demo-vlm')
    const [config, graph, presets] = await Promise.all([
      hiprune('flops', model, '--json'),
      hiprune('flops', model, '--json', '--graph', '--dtype', 'q8', '--keep', '1/3'),
      hiprune('flops', model, '--json', '--preset', 'all', '--keep', '50%'),
    ])
    expect([config.code, graph.code, presets.code]).toEqual([0, 0, 0])
    const [byConfig, byGraph, byPreset] = [config, graph, presets].map(({ stdout }) => JSON.parse(stdout) as Json)
    expect(byConfig!.rows.map(({ tokens }) => tokens.kept)).toEqual([400, 133, 89, 44])
    // The file ends where the features are read: it lacks the encoder's last layer, which the config counts.
    const [counted, configured] = [byGraph!, byConfig!].map(({ rows }) => rows.slice(0, 2).map(({ flops }) => flops))
    expect(counted!.map(({ llm }) => llm)).toEqual(configured!.map(({ llm }) => llm))
    expect(counted![0]!.encoder).toBe((configured![0]!.encoder * 11) / 12)
    expect(byGraph!.source).toBe('weights in the ONNX files')
    expect(byPreset!.rows.map(({ preset }) => preset)).toEqual(
      ['calflops', 'fastv', 'swiglu', 'swiglu-2x', 'executed'].flatMap((preset) => [preset, preset]),
    )
  })

  it('takes tiles, and tokens where any resolution goes', async () => {
    const next = await hiprune('flops', 'llava-next-7b', '--keep', '640', '--json')
    expect((JSON.parse(next.stdout) as Json).rows.map(({ tokens }) => tokens)).toMatchObject([
      { visual: 2880, kept: 2880, tiles: 5 },
      { visual: 2880, kept: 640, tiles: 5 },
    ])
    const qwen = await hiprune('flops', 'qwen2.5-vl-3b', '--tokens', '1296', '--keep', '33.3%')
    expect(qwen.stdout).toContain('1296')
  })

  it.each([
    [['gpt-4'], 2, /model: got "gpt-4", allowed: a folder with config.json, llava-1.5-7b/],
    [['qwen2.5-vl-3b'], 2, /--tokens: got undefined, allowed: the number of visual tokens/],
    [['--preset', 'guess'], 2, /--preset: got "guess", allowed: calflops/],
    [['--graph'], 2, /model: got "llava-1.5-7b", allowed: a folder with onnx/],
    [['--kv', 'q8'], 2, /--kv: got "q8"/],
    [['--keep', '0'], 2, /keep|budget/],
    [['--text', 'x'], 2, /--text: got "x"/],
    [['src'], 1, /config.json: no such file/],
    [['demo-vlm', '--graph', '--dtype', 'q4'], 1, /vision_encoder_q4.onnx: no such file/],
  ])('%j: exit %i, one line', async (args, expected, message) => {
    const { code, stderr } = await hiprune('flops', ...args)
    expect([code, stderr.trim().split('\n').length]).toEqual([expected, 1])
    expect(stderr).toMatch(message)
  })
})
