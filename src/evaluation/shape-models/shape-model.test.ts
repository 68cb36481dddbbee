import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { RawImage } from '@huggingface/transformers'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../../generation/ask.js'
import { loadPruned, type PrunedModel } from '../../generation/load-pruned.js'
import { inspectEncoder, tapAttention } from '../../onnx/index.js'
import { concatBytes } from '../../onnx/wire.js'
import { countFlops } from '../flops/count.js'
import { shapeFromConfig } from '../flops/from-config.js'
import { countGraphFlops, readGraphParameters } from '../flops/from-graph.js'
import { decoder } from './language-model.js'
import { questionOf, shapeModelFiles } from './model-folder.js'
import { bytesOf, sizeOf, type RandomFile } from './random-file.js'
import { shapeSizes, visualTokensOf } from './sizes.js'
import { visionEncoder, type EncoderForm } from './vision-encoder.js'

const sizes = shapeSizes('tiny')
const { text } = sizes
const numTokens = visualTokensOf(sizes.vision)
const bytes = (file: RandomFile) => concatBytes([...bytesOf(file)].map((part) => part.slice()))

describe('sizes', () => {
  it('changes single sizes of a preset', () => {
    const changed = shapeSizes('tiny', { 'vision.layers': 6, 'text.vocabulary': 200 })
    expect(changed).toEqual({ vision: { ...sizes.vision, layers: 6 }, text: { ...text, vocabulary: 200 } })
  })

  it.each([
    ['huge', {}, /shape: got "huge", allowed: vit-l-0.5b, vit-b-135m, tiny/],
    ['tiny', { 'vision.depth': 3 }, /size: got "vision.depth", allowed: vision.image, /],
    ['tiny', { 'text.layers': 0 }, /size text.layers: got 0, allowed: an integer from 1/],
    ['tiny', { 'vision.heads': 3 }, /size vision.width: got 32, allowed: a multiple of the 3 heads/],
    ['tiny', { 'text.kvHeads': 3 }, /size text.heads: got 4/],
    ['tiny', { 'text.headSize': 5 }, /an even number/],
    ['tiny', { 'vision.image': 20 }, /at least two patches/],
    ['tiny', { 'text.vocabulary': 8 }, /at least 32/],
  ])('refuses %s with %j', (preset, changes, message) => {
    expect(() => shapeSizes(preset, changes as Record<string, number>)).toThrow(message)
  })
})

describe('random files', () => {
  it('have the size they announce; equal seeds give equal bytes, other seeds other weights', () => {
    const [first, again, other] = [7, 7, 8].map((seed) => shapeModelFiles(sizes, seed).map(bytes)) as [
      Uint8Array[],
      Uint8Array[],
      Uint8Array[],
    ]
    const files = shapeModelFiles(sizes, 7)
    expect(first.map(({ length }) => length)).toEqual(files.map(sizeOf))
    expect(again.every((file, i) => Buffer.compare(file, first[i]!) === 0)).toBe(true)
    const changed = files.filter((_, i) => Buffer.compare(first[i]!, other[i]!) !== 0).map(({ name }) => name)
    expect(changed).toEqual(['onnx/vision_encoder.onnx', 'onnx/embed_tokens.onnx', 'onnx/decoder_model_merged.onnx'])
  })

  it('weights have the deviation they should, around 0', () => {
    const part = { count: 300_000, deviation: 0.02, seed: 3 }
    const raw = bytes({ name: 'x', parts: [part] })
    const values = new Float32Array(raw.buffer)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
    expect([values.length, Math.abs(mean) < 2e-4]).toEqual([part.count, true])
    expect(deviation).toBeCloseTo(0.02, 4)
  })
})

describe('the encoder, run alone', () => {
  const pixels = new Tensor(
    'float32',
    Float32Array.from({ length: 2 * 3 * 84 * 84 }, (_, i) => Math.sin(i * 0.37)),
    [2, 3, 84, 84],
  )
  const run = async (form: EncoderForm) => {
    const file = bytes(visionEncoder(sizes, 3, form).finish('v.onnx')[0]!)
    const session = await InferenceSession.create(tapAttention(file, { layers: [2, 4] }), { logSeverityLevel: 3 })
    const outputs = await session.run({ pixel_values: pixels })
    const values = Object.values(outputs).map((tensor) => [...(tensor.data as Float32Array)])
    return { values, dims: outputs['image_features']!.dims, length: file.length }
  }

  it.each(['multi-head-attention', 'attention'] as const)(
    'written with %s computes and receives what softmax does',
    async (attention) => {
      const [expected, fused] = [await run({}), await run({ attention })]
      expect([fused.dims, fused.values.length]).toEqual([[2, numTokens, text.width], expected.values.length])
      const gaps = fused.values.map((list, i) =>
        Math.max(...list.map((value, k) => Math.abs(value - expected.values[i]![k]!))),
      )
      expect(Math.max(...gaps)).toBeLessThan(1e-5)
    },
  )

  it('with shared layers is smaller and still runs', async () => {
    const [whole, shared] = [await run({}), await run({ shareLayers: true })]
    expect([shared.dims, shared.length < whole.length]).toEqual([whole.dims, true])
  })
})

describe('the decoder, run alone', () => {
  let session: InferenceSession
  beforeAll(async () => {
    session = await InferenceSession.create(bytes(decoder(text, 5).finish('d.onnx')[0]!))
  })
  const ids = (values: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
  const embeds = Float32Array.from({ length: 6 * text.width }, (_, i) => Math.sin(i * 0.7))
  type Past = Record<string, Tensor>
  const empty = (): Past =>
    Object.fromEntries(
      session.inputNames
        .filter((name) => name.startsWith('past'))
        .map((name) => [name, new Tensor('float32', new Float32Array(0), [1, text.kvHeads, 0, text.headSize])]),
    )
  const run = (from: number, to: number, past: Past, keep = 0, mask = Array<number>(to).fill(1), shift = 0) =>
    session.run({
      inputs_embeds: new Tensor('float32', embeds.slice(from * text.width, to * text.width), [
        1,
        to - from,
        text.width,
      ]),
      attention_mask: ids(mask, [1, to]),
      position_ids: ids(
        Array.from({ length: to - from }, (_, i) => from + i - shift),
        [1, to - from],
      ),
      num_logits_to_keep: new Tensor('int64', BigInt64Array.of(BigInt(keep)), []),
      ...past,
    })
  const pastOf = (outputs: InferenceSession.OnnxValueMapType): Past =>
    Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, value]) => [name.replace('present', 'past_key_values'), value as Tensor]),
    )
  const data = (tensor: unknown) => (tensor as Tensor).data as Float32Array
  const gap = (a: Float32Array, b: Float32Array) => {
    expect(a.length).toBe(b.length)
    return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0)
  }

  it('token by token on its cache gives what the whole prompt gives: causal, rotary, cached', async () => {
    const whole = data((await run(0, 6, empty())).logits)
    expect(whole.length).toBe(6 * text.vocabulary)
    let past = empty()
    for (let i = 0; i < 6; i++) {
      const outputs = await run(i, i + 1, past)
      past = pastOf(outputs)
      expect(gap(data(outputs.logits), whole.slice(i * text.vocabulary, (i + 1) * text.vocabulary))).toBeLessThan(1e-5)
    }
    expect(past['past_key_values.0.key']!.dims).toEqual([1, text.kvHeads, 6, text.headSize])
  })

  it('keeps the logits of the last positions only, when asked', async () => {
    const whole = data((await run(0, 6, empty())).logits)
    const { logits } = await run(0, 6, empty(), 2)
    expect(logits!.dims).toEqual([1, 2, text.vocabulary])
    expect(gap(data(logits), whole.slice(4 * text.vocabulary))).toBeLessThan(1e-6)
  })

  it('does not look at padding, and positions do count', async () => {
    const padded = data((await run(0, 6, empty(), 1, [0, 0, 1, 1, 1, 1], 2)).logits)
    const plain = data(
      (
        await session.run({
          inputs_embeds: new Tensor('float32', embeds.slice(2 * text.width), [1, 4, text.width]),
          attention_mask: ids([1, 1, 1, 1], [1, 4]),
          position_ids: ids([0, 1, 2, 3], [1, 4]),
          num_logits_to_keep: new Tensor('int64', BigInt64Array.of(1n), []),
          ...empty(),
        })
      ).logits,
    )
    expect(gap(padded, plain)).toBeLessThan(1e-5)
    const stretched = await session.run({
      inputs_embeds: new Tensor('float32', embeds.slice(2 * text.width), [1, 4, text.width]),
      attention_mask: ids([1, 1, 1, 1], [1, 4]),
      position_ids: ids([0, 10, 20, 30], [1, 4]),
      num_logits_to_keep: new Tensor('int64', BigInt64Array.of(1n), []),
      ...empty(),
    })
    expect(gap(data(stretched.logits), plain)).toBeGreaterThan(1e-5)
  })
})

describe.each([
  ['weights inside', Infinity],
  ['external data', 0],
])('a whole model, %s', (_, externalAbove) => {
  let folder: string
  let loaded: PrunedModel
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-shape-'))
    await mkdir(path.join(folder, 'onnx'))
    for (const file of shapeModelFiles(sizes, 1, externalAbove))
      await writeFile(path.join(folder, file.name), bytes(file))
    loaded = await loadPruned(folder, { keep: '1/3' })
  })
  afterAll(async () => {
    await loaded.model.dispose()
    await rm(folder, { recursive: true })
  })

  it('loads, taps, prunes and answers as long as asked, every text token counted', async () => {
    const image = new RawImage(
      new Uint8ClampedArray(100 * 60 * 3).map((__, i) => (i * 37) % 256),
      100,
      60,
      3,
    )
    const question = questionOf(20)
    const all = await ask(loaded, [image], question, { method: 'none', max_new_tokens: 4 })
    const pruned = await ask(loaded, [image], question, { max_new_tokens: 4 })
    expect([all.keptTokens, all.promptTokens, all.newTokens]).toEqual([numTokens, numTokens + 20 + 3, 4])
    expect([pruned.keptTokens, pruned.promptTokens]).toEqual([numTokens / 3, numTokens / 3 + 23])
    expect(all.kvCacheBytes).toBe(2 * text.layers * text.kvHeads * text.headSize * 4 * all.promptTokens)
    expect(pruned.times.decodeMsPerToken).toBeGreaterThan(0)
  })

  it('is understood as a CLIP encoder, and counts like its config', () => {
    const files = new Map(shapeModelFiles(sizes, 1, externalAbove).map((file) => [file.name, file]))
    const read = (name: string) => bytes(files.get(name)!)
    const info = inspectEncoder(read('onnx/vision_encoder.onnx'))
    expect(info).toMatchObject({
      family: 'clip',
      deepLayer: 4,
      prefixTokens: 1,
      grid: { rows: 6, columns: 6 },
      problems: [],
    })
    const config = JSON.parse(new TextDecoder().decode(read('config.json'))) as Record<string, unknown>
    const shape = shapeFromConfig(config, 'tiny')
    const counts = { visual: numTokens, kept: 12, text: 9 }
    const parameters = readGraphParameters(read('onnx/vision_encoder.onnx'), read('onnx/decoder_model_merged.onnx'))
    const expected = countFlops(shape, counts)
    const { encoder, projector, llm } = countGraphFlops(parameters, counts)
    expect([encoder, projector, llm]).toEqual([(expected.encoder / 5) * 4, expected.projector, expected.llm])
  })
})
