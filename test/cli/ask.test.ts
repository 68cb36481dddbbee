import { mkdtemp, readdir, readFile, writeFile, cp, mkdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hiprune, repository } from '../cli.js'

const examples = path.join(repository, 'demo-vlm/examples')
interface JsonAnswer {
  text: string
  keptTokens: number
  promptTokens: number
  kvCacheBytes: number
  images: { kept: number[] }[]
  times: Record<string, number>
}

let folder: string
let image: string
let question: string
let answer: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-ask-'))
  const [example] = JSON.parse(await readFile(path.join(examples, 'examples.json'), 'utf8')) as [
    { file: string; questions: [{ question: string; model_answer: string }] },
  ]
  image = path.join(examples, example.file)
  ;({ question, model_answer: answer } = example.questions[0])
})
afterAll(() => rm(folder, { recursive: true }))

describe('hiprune ask', () => {
  it('answers on stdout, without colours where there is no terminal', async () => {
    const { code, stdout, stderr } = await hiprune('ask', image, question, '--keep', '100%')
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout.split('\n')[0]!.trim()).toBe(answer)
    expect(stdout).toMatch(/\(hiprune: (\d+) of \1 visual tokens, first token after/)
    expect(stdout).not.toContain('\u001b')
  })

  it('--compare --json gives both answers, tokens, stages and KV bytes in proportion', async () => {
    const { code, stdout } = await hiprune('ask', image, question, '--compare', '--json', '--repeat', '1')
    expect(code).toBe(0)
    const { all, pruned } = JSON.parse(stdout) as { all: JsonAnswer; pruned: JsonAnswer }
    expect(all.text).toBe(answer)
    expect(pruned.keptTokens).toBe(Math.round(all.keptTokens / 3))
    expect(pruned.images[0]!.kept).toHaveLength(pruned.keptTokens)
    expect(all.promptTokens - pruned.promptTokens).toBe(all.keptTokens - pruned.keptTokens)
    expect(pruned.kvCacheBytes / all.kvCacheBytes).toBeCloseTo(pruned.promptTokens / all.promptTokens, 9)
    const { decodeMsPerToken, ...stages } = pruned.times
    expect(Object.keys(stages)).toEqual(['preprocessMs', 'encodeMs', 'selectMs', 'prefillMs', 'timeToFirstTokenMs'])
    for (const durationMs of Object.values(stages)) expect(durationMs).toBeGreaterThan(0)
    expect(decodeMsPerToken).toBeGreaterThanOrEqual(0)
  })

  it('--compare prints a table, --overlay a picture of the asked size', async () => {
    const out = path.join(folder, 'kept.png')
    const { code, stdout } = await hiprune('ask', image, question, '--compare', '--repeat', '1', '--overlay', out)
    expect(code).toBe(0)
    for (const row of ['visual tokens', 'prefill', 'time to first token', 'KV cache', 'answer'])
      expect(stdout).toContain(row)
    const { format, width, height } = await sharp(out).metadata()
    expect(format).toBe('png')
    expect(width).toBeGreaterThan(400)
    expect(height).toBeGreaterThan(400)
  })

  it('takes a photograph of any size, orientation and format, and several images', async () => {
    const noise = {
      create: {
        width: 1500,
        height: 400,
        channels: 3 as const,
        background: 'teal',
        noise: { type: 'gaussian' as const, mean: 128, sigma: 40 },
      },
    }
    const photo = path.join(folder, 'photo.jpg')
    await sharp(noise).withMetadata({ orientation: 6 }).jpeg().toFile(photo)
    const transparent = path.join(folder, 'small.webp')
    await sharp({ create: { width: 9, height: 31, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0.5 } } })
      .webp()
      .toFile(transparent)
    const one = await hiprune('ask', photo, 'what is this?', '--json')
    expect(one.code).toBe(0)
    const two = await hiprune('ask', photo, transparent, 'what is this?', '--keep', '20', '--json')
    expect(two.code).toBe(0)
    expect((JSON.parse(two.stdout) as JsonAnswer).images.map(({ kept }) => kept.length)).toEqual([20, 20])
  })
})

describe('bad input gets one line and nothing is written', () => {
  const file = (name: string) => path.join(folder, name)
  beforeAll(async () => {
    await writeFile(file('empty.png'), '')
    await writeFile(file('text.png'), 'not an image')
    await sharp({ create: { width: 20_000, height: 4, channels: 3, background: 'red' } })
      .png()
      .toFile(file('wide.png'))
    const whole = await readFile(image)
    await writeFile(file('cut.png'), whole.subarray(0, Math.floor(whole.length / 2)))
    for (const name of ['no-encoder', 'florence']) await mkdir(file(name))
    for (const name of [
      'config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'processor_config.json',
      'preprocessor_config.json',
    ]) {
      await cp(path.join(repository, 'demo-vlm', name), path.join(file('no-encoder'), name))
    }
    const config = await readFile(path.join(repository, 'demo-vlm/config.json'), 'utf8')
    await writeFile(
      path.join(file('florence'), 'config.json'),
      config.replace('"model_type": "llava"', '"model_type": "florence2"'),
    )
  })

  const cases: [string, () => string[], number, RegExp][] = [
    ['no file', () => [file('missing.png'), 'q'], 1, /missing\.png: no such file/],
    ['not an image', () => [file('text.png'), 'q'], 1, /text\.png: not an image/],
    ['an empty file', () => [file('empty.png'), 'q'], 1, /empty\.png: the file is empty/],
    ['half a file', () => [file('cut.png'), 'q'], 1, /cannot read image/],
    ['20,000 pixels wide', () => [file('wide.png'), 'q'], 1, /20000 x 4 pixels, allowed: 16384 a side/],
    ['no arguments', () => [], 2, /missing required argument/],
    ['no question', () => [image], 2, /inputs: got .*allowed: image files, then a question/],
    ['a blank question', () => [image, '  '], 2, /question: got "  "/],
    ['a budget of 0', () => [image, 'q', '--keep', '0'], 2, /budget: got "0", allowed: a count from 1/],
    ['a budget of -3', () => [image, 'q', '--keep', '-3'], 2, /budget: got "-3"/],
    ['a budget of 200%', () => [image, 'q', '--keep', '200%'], 2, /budget: got "200%"/],
    ['a budget of x', () => [image, 'q', '--keep', 'x'], 2, /budget: got "x"/],
    ['an unknown method', () => [image, 'q', '--method', 'best'], 2, /method: got "best", allowed: hiprune, /],
    ['an unknown option', () => [image, 'q', '--kepe', '3'], 2, /unknown option '--kepe'/],
    ['alpha of 2', () => [image, 'q', '--alpha', '2'], 2, /alpha: got 2, allowed: a number from 0 to 1/],
    ['alpha of nothing', () => [image, 'q', '--alpha', ''], 2, /--alpha: got "", allowed: a number/],
    [
      'an object layer beyond the encoder',
      () => [image, 'q', '--object-layer', '99'],
      2,
      /objectLayer: got 99, allowed: an integer from 1 to \d+/,
    ],
    [
      'a dtype that is not there',
      () => [image, 'q', '--dtype', 'bnb4'],
      1,
      /there is no .*vision_encoder_bnb4\.onnx|bnb4/,
    ],
    ['a picture that is no PNG', () => [image, 'q', '--overlay', file('x.txt')], 2, /--overlay: got .*\.png/],
    ['a picture in no folder', () => [image, 'q', '--overlay', file('no/x.png')], 2, /a folder that exists/],
    ['a folder without a model', () => [image, 'q', '--model', os.tmpdir()], 1, /there is no .*config\.json/],
    ['a model without a vision encoder', () => [image, 'q', '--model', file('no-encoder')], 1, /there is no .*\.onnx/],
    [
      'an architecture that cannot be pruned',
      () => [image, 'q', '--model', file('florence')],
      1,
      /"florence2" cannot be pruned: its DaViT encoder/,
    ],
  ]
  it.each(cases)('%s', async (_, args, code, message) => {
    const before = await readdir(folder)
    const result = await hiprune('ask', ...args())
    expect(result.code).toBe(code)
    expect(result.stdout).toBe('')
    expect(result.stderr).toMatch(/^error: [^\n]*\n$/)
    expect(result.stderr).toMatch(message)
    expect(await readdir(folder)).toEqual(before)
  })

  it('an unknown command; a stack trace only when asked for', async () => {
    expect(await hiprune('aks')).toMatchObject({
      code: 2,
      stderr: "error: unknown command 'aks' (Did you mean ask?)\n",
    })
    const verbose = await hiprune('--verbose', 'ask', file('empty.png'), 'q')
    expect(verbose.stderr).toContain('    at ')
  })

  it('--help has an example', async () => {
    const { code, stdout } = await hiprune('ask', '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('Example:\n  hiprune ask photo.jpg')
  })
})
