import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { hiprune, repository } from '../cli.js'

// Whole runs of the embedded model: seconds on an idle machine.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 60_000 })

const data = path.join(repository, 'demo-vlm/benchmark/questions.jsonl')
const main = path.join(repository, 'dist/cli/main.js')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-eval-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A short run: 5 images, random tokens included, whose numbers depend on the image's place in the run. */
const runArguments = (out: string) => [
  'eval',
  ...['--data', `jsonl=${data}`, '--limit', '5', '--timed-images', '1', '--seed', '3', '--max-tokens', '8'],
  ...['--methods', 'hiprune,random,hiprune++,hiprune:alpha=0.5:label=wide', '--keep', '1/9,auto', '-o', out],
]

/** All files of a folder by name. */
async function contents(root: string): Promise<Map<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
  return new Map(
    await Promise.all(files.map(async (file) => [path.relative(root, file), await readFile(file, 'utf8')] as const)),
  )
}

/** Starts a run and kills it without warning once its journal has `lines` lines. */
async function killedAfter(lines: number, out: string): Promise<string> {
  const child = spawn(process.execPath, [main, ...runArguments(out)], { cwd: repository, stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  for (;;) {
    const [run] = await readdir(out).catch(() => [])
    const journal = run && (await readFile(path.join(out, run, 'answers.jsonl'), 'utf8').catch(() => ''))
    if (run && journal && journal.split('\n').length > lines) {
      child.kill('SIGKILL')
      await ended
      return path.join(out, run)
    }
    if (child.exitCode !== null) throw new Error('the run ended before it could be killed')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('hiprune eval', () => {
  it('goes on after a kill, and ends with the files of an uninterrupted run', async () => {
    const whole = path.join(folder, 'whole')
    const { code, stdout, stderr } = await hiprune(...runArguments(whole))
    expect(stderr).toMatch(/5 of 5 images, 9 answers a question/)
    expect(code).toBe(0)
    expect(stdout).toMatch(/│ wide +│ +1\/9 │/)

    const parts = path.join(folder, 'parts')
    const killed = await killedAfter(2, parts)
    // What a kill in the middle of a write leaves behind.
    const journal = path.join(killed, 'answers.jsonl')
    await writeFile(journal, `${await readFile(journal, 'utf8')}{"image": "images/cut o`)
    const resumed = await hiprune(...runArguments(parts))
    expect(resumed.code).toBe(0)
    expect(resumed.stderr).toMatch(/going on after [234] of 5 images/)

    const [expected, actual] = [await contents(whole), await contents(parts)]
    const withoutTimes = (name: string, text: string) =>
      name.endsWith('answers.jsonl') ? text.replace(/,"times":.*(?=\}\n)/g, '') : text
    expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort())
    for (const [name, text] of expected) {
      if (name.endsWith('timings.json')) continue
      expect(withoutTimes(name, actual.get(name)!), name).toBe(withoutTimes(name, text))
    }
    expect([...expected.keys()].some((name) => name.endsWith('timings.json'))).toBe(true)
    expect([...expected.keys()].some((name) => name.endsWith('lock'))).toBe(false)
  })

  it('writes tables, CSV and figures of a run, and tests two cells', async () => {
    const [run] = await readdir(path.join(folder, 'whole'))
    const out = path.join(folder, 'report')
    const compare = ['--compare', 'all tokens,random@1/9']
    const { code, stdout } = await hiprune('eval', 'report', path.join(folder, 'whole', run!), '-o', out, ...compare)
    expect(code).toBe(0)
    expect(stdout).toMatch(/\| McNemar \| only all tokens \| only random@1\/9 \| p \|/)
    const files = await contents(out)
    const report = files.get('report.md')!
    for (const part of ['object layer', 'Where hiprune loses', '| wide |', 'Time to the first token', 'prefill'])
      expect(report).toContain(part)
    const [head, ...rows] = files.get('results.csv')!.trimEnd().split('\n')
    expect(rows.length).toBeGreaterThan(9)
    for (const row of rows) expect(row.split(',')).toHaveLength(head!.split(',').length)
    const figures = [...files.keys()].filter((name) => name.endsWith('.svg'))
    for (const kind of ['methods-kept', 'methods-pareto', 'tasks']) expect(figures.join()).toContain(kind)
    for (const link of report.matchAll(/\]\(([^)]+)\)/g)) expect(files.has(link[1]!), link[1]!).toBe(true)
  })

  it.each([
    [['--data', 'pop=x.json'], /--data: got "pop", allowed: pope, gqa/],
    [['--data', 'pope'], /--data: got "pope", allowed: pope=/],
    [['--data', 'jsonl=nowhere.jsonl'], /--data: got "nowhere\.jsonl", allowed: a file that can be read/],
    [['--data', `jsonl=${data}`, '--methods', 'hiprune:alhpa=0'], /--methods hiprune: got "alhpa=0", allowed: alpha=,/],
    [['--data', `jsonl=${data}`, '--methods', 'hiprune,hiprune'], /each method with the same options once/],
    [['--data', `jsonl=${data}`, '--methods', 'none'], /--methods: got "none"/],
    [['--data', `jsonl=${data}`, '--keep', '1/3,0'], /budget: got "0"/],
    [
      ['--data', `jsonl=${data}`, '--images', '/no/where'],
      /--images: got "\/no\/where", allowed: a folder that exists/,
    ],
    [[], /--data: got undefined, allowed: set=file/],
    [['report', '/no/where'], /runs: got "\/no\/where", allowed: the folder of a run/],
  ])('refuses %j with one line', async (args, message) => {
    const { code, stdout, stderr } = await hiprune('eval', ...args)
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })
})
