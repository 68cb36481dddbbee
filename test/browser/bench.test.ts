import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { chromiumPath } from '../analysis/chromium.js'
import { repository } from '../cli.js'

interface Json {
  machine: { versions: Record<string, string> }
  models: [{ device: string; variants: { keptTokens: number; stages: object }[]; encoder: { ratio: { runs: number } } }]
  goals: { goal: string; met?: boolean }[]
}

describe.skipIf(!chromiumPath)('the bench in a browser (needs Chromium)', () => {
  it('measures the same stages of a shape model on WebAssembly', async () => {
    const script = `${repository}bench/browser.mjs`
    const options = ['--shape', 'tiny', '--repeat', '1', '--keep', '1/3', '--threads', '1', '--json']
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...options], { cwd: repository })
    const { machine, models, goals } = JSON.parse(stdout) as Json
    expect(machine.versions['Chromium']).toMatch(/^\d+\./)
    const [{ device, variants, encoder }] = models
    expect([device, encoder.ratio.runs]).toEqual(['wasm', 1])
    expect(variants.map(({ keptTokens }) => keptTokens)).toEqual([36, 12])
    for (const { stages } of variants) expect(Object.keys(stages)).toContain('prefillMs')
    expect(goals.find(({ goal }) => goal.startsWith('KV cache'))?.met).toBe(true)
  }, 180_000)
})
