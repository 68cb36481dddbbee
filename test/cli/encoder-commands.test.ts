import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Tensor, InferenceSession } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tapAttention, type EncoderInfo } from '../../src/onnx/index.js'
import { hiprune } from '../cli.js'
import { oracleRoot } from '../golden.js'
import { MiniModel, randoms } from '../onnx/mini-model.js'

let folder: string
let encoder: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hiprune-'))
  encoder = path.join(folder, 'vision_encoder.onnx')
  await copyFile(`${oracleRoot}models/tiny-llava/onnx/vision_encoder.onnx`, encoder)
})
afterAll(() => rm(folder, { recursive: true }))

/** One attention over x [batch, 5, 8]; the weights of its queries are in a file of their own when one is named. */
function attentionModel(location?: string): Uint8Array {
  const model = new MiniModel()
  const x = model.input('x', ['batch', 5, 8])
  const weights = [
    location ? model.external([8, 8], location) : model.weight([8, 8], randoms(64, 5)),
    model.weight([8, 8], randoms(64, 7)),
  ]
  const [queries = '', keys = ''] = weights.map((weight) => model.node('MatMul', [x, weight]))
  const attended = model.contrib('MultiHeadAttention', [queries, keys, keys], { num_heads: 2 })
  const out = model.node('MatMul', [attended, model.weight([8, 8], randoms(64, 8))])
  model.output('image_features', model.node('Add', [x, out]), ['batch', 5, 8])
  return model.finish()
}

describe('hiprune inspect', () => {
  it('describes an encoder for people', async () => {
    const { code, stdout, stderr } = await hiprune('inspect', encoder)
    expect([code, stderr]).toEqual([0, ''])
    for (const fact of ['clip', '11', 'softmax', '4 x 16', '8 x 8 of a 112 px image', 'fp32, 14', 'can be tapped'])
      expect(stdout).toContain(fact)
  })

  it('describes it for programs', async () => {
    const { code, stdout } = await hiprune('inspect', encoder, '--json')
    const info = JSON.parse(stdout) as EncoderInfo
    expect([code, info.layers.length, info.suggestedObjectLayer, info.deepLayer]).toEqual([0, 11, 4, 11])
    expect(info).toMatchObject({
      family: 'clip',
      grid: { rows: 8, columns: 8 },
      prefixTokens: 1,
      width: 64,
      problems: [],
    })
  })

  it.each([
    [['inspect'], 2, /missing required argument/],
    [['inspect', 'nowhere.onnx'], 1, /nowhere.onnx: no such file/],
    [['inspect', '.'], 1, /not a file/],
    [['inspect', 'package.json'], 1, /not a readable ONNX file/],
  ])('%j: exit %i, one line', async (args, expected, message) => {
    const { code, stdout, stderr } = await hiprune(...args)
    expect([code, stdout, stderr.trim().split('\n').length]).toEqual([expected, '', 1])
    expect(stderr).toMatch(message)
  })
})

describe('hiprune tap and compile', () => {
  const pixels = new Tensor('float32', new Float32Array(3 * 112 * 112).fill(0.25), [1, 3, 112, 112])

  it('tap writes a file that runs', async () => {
    const { code, stdout } = await hiprune('tap', encoder, '--json')
    expect(code).toBe(0)
    const { output, layers } = JSON.parse(stdout) as { output: string; layers: number[] }
    expect([path.basename(output), layers]).toEqual(['vision_encoder.tapped.onnx', [4, 11]])
    const session = await InferenceSession.create(output)
    expect(session.outputNames).toEqual([
      'image_features',
      'attention_received.4',
      'attention_prefix.4',
      'attention_received.11',
      'attention_prefix.11',
    ])
  })

  it('compile writes a file that prunes', async () => {
    const out = path.join(folder, 'pruned.onnx')
    const { code, stdout } = await hiprune('compile', encoder, '-o', out, '--gather', 'projector')
    expect([code, stdout]).toEqual([0, expect.stringContaining('feed K')])
    const session = await InferenceSession.create(out)
    const { image_features: features } = await session.run({ pixel_values: pixels, K: new Tensor('int64', [16n], [1]) })
    expect(features?.dims).toEqual([1, 16, 64])
  })

  it('takes external weights along to another folder, and refuses when they are missing', async () => {
    const source = path.join(folder, 'external')
    const target = path.join(folder, 'elsewhere')
    await Promise.all([mkdir(source), mkdir(target)])
    const [input, output] = [path.join(source, 'm.onnx'), path.join(target, 'm.onnx')]
    await writeFile(input, attentionModel('m.onnx_data'))
    expect((await hiprune('tap', input, '-o', output)).stderr).toMatch(
      /m.onnx_data: no such file; the model keeps weights in it/,
    )
    await writeFile(path.join(source, 'm.onnx_data'), new Uint8Array(randoms(64, 5).buffer))
    expect((await hiprune('tap', input, '-o', output)).code).toBe(0)
    const feeds = { x: new Tensor('float32', randoms(5 * 8, 6), [1, 5, 8]) }
    const inline = await InferenceSession.create(tapAttention(attentionModel(), { layers: [1] }))
    const expected = (await inline.run(feeds))['attention_received.1']?.data
    expect((await (await InferenceSession.create(output)).run(feeds))['attention_received.1']?.data).toEqual(expected)
  })

  it('replaces a file only when told to, and leaves nothing half-written', async () => {
    const out = path.join(folder, 'mine.onnx')
    await writeFile(out, 'mine')
    expect((await hiprune('tap', encoder, '-o', out)).stderr).toMatch(/does not exist yet, or --force/)
    expect(await readFile(out, 'utf8')).toBe('mine')
    expect((await hiprune('tap', encoder, '-o', out, '--force')).code).toBe(0)
    expect((await stat(out)).size).toBeGreaterThan((await stat(encoder)).size)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it.each([
    [['--layers', '99'], 2, /layers: got 99, allowed: layers from 1 to 11/],
    [['--layers', 'all'], 2, /--layers: got "all"/],
    [['--cls', '0'], 2, /cls: got 0/],
    [['-o', '/nowhere/x.onnx'], 2, /a folder that exists/],
    [['-o', 'x.bin'], 2, /ends in .onnx/],
  ])('tap %j: exit %i, one line', async (args, expected, message) => {
    const { code, stderr } = await hiprune('tap', encoder, '-o', path.join(folder, 'refused.onnx'), ...args)
    expect([code, stderr.trim().split('\n').length]).toEqual([expected, 1])
    expect(stderr).toMatch(message)
  })

  it.each([
    [['--alpha', '2'], 2, /alpha: got 2, allowed/],
    [['--method', 'divprune'], 2, /method: got "divprune", allowed: hiprune, hiprune\+\+/],
    [['--gather', 'middle'], 2, /gather/],
  ])('compile %j: exit %i, one line', async (args, expected, message) => {
    const { code, stderr } = await hiprune('compile', encoder, ...args)
    expect([code, stderr.trim().split('\n').length]).toEqual([expected, 1])
    expect(stderr).toMatch(message)
  })
})
