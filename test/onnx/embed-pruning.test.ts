import fc from 'fast-check'
import { Tensor, type InferenceSession } from 'onnxruntime-node'
import { beforeAll, describe, expect, it } from 'vitest'
import { ArgumentError, ModelError } from '../../src/errors.js'
import { embedPruning, inspectEncoder, tapAttention, type EmbedOptions } from '../../src/onnx/index.js'
import { createPruner } from '../../src/pruning/index.js'
import { relevanceToText } from '../../src/pruning/relevance.js'
import { readGolden, readGoldenBin, type BinReference } from '../golden.js'
import { MiniModel, randoms } from './mini-model.js'
import {
  createSession,
  goldenFor,
  largestDifference,
  rawBytes,
  readModelFile,
  takesBatch,
  visionFiles,
} from './oracle-models.js'

type Outputs = InferenceSession.OnnxValueMapType

const keepOf = (count: number): { K: Tensor } => ({ K: new Tensor('int64', BigInt64Array.of(BigInt(count)), [1]) })
const numbers = (tensor: Tensor | undefined): number[] =>
  Array.from(tensor?.data as unknown as ArrayLike<number | bigint>, Number)
const floats = (tensor: Tensor | undefined): Float32Array => tensor?.data as Float32Array

/** Rows of the unpruned features that the host would keep, and what it says about them. */
function hostSelection(
  outputs: Outputs,
  options: { object: number; deep: number; grid: { rows: number; columns: number }; features: string },
  keep: number,
  method: 'hiprune' | 'hiprune++' = 'hiprune',
  text?: Float32Array,
  pruning: Record<string, unknown> = {},
) {
  const { grid } = options
  const count = grid.rows * grid.columns
  const features = outputs[options.features] as Tensor
  const width = features.dims.at(-1) ?? 0
  const images = floats(features).length / width / count
  const pruner = createPruner(method, pruning)
  const part = (data: Float32Array, i: number, size: number): Float32Array => data.subarray(i * size, (i + 1) * size)
  return Array.from({ length: images }, (_, i) => {
    const rows = part(floats(features), i, count * width)
    const selection = pruner.select(
      {
        grid,
        objectScores: part(floats(outputs[`attention_received.${options.object}`]), i, count),
        deepScores: part(floats(outputs[`attention_received.${options.deep}`]), i, count),
        ...(text && { relevance: relevanceToText(rows, text) }),
      },
      keep,
    )
    return { ...selection, rows: [...selection.kept].map((token) => rows.subarray(token * width, (token + 1) * width)) }
  })
}

function expectEqualToHost(
  outputs: Outputs,
  features: string,
  host: ReturnType<typeof hostSelection>,
  tolerance = 0,
): void {
  expect(numbers(outputs['kept_indices'])).toEqual(host.flatMap(({ kept }) => [...kept]))
  expect(numbers(outputs['roles'])).toEqual(host.flatMap(({ roles }) => [...roles]))
  const expected = Float32Array.from(host.flatMap(({ rows }) => rows.flatMap((row) => [...row])))
  if (tolerance === 0) expect(rawBytes(outputs[features]).equals(Buffer.from(expected.buffer))).toBe(true)
  else expect(largestDifference(floats(outputs[features]), expected)).toBeLessThan(tolerance)
}

/** The token grid of a golden input. */
function gridFor(file: string, feeds: Record<string, Tensor>): { rows: number; columns: number } {
  const fixed = inspectEncoder(readModelFile(file)).grid
  if (fixed) return fixed
  const [, rows = 0, columns = 0] = numbers(feeds['image_grid_thw'])
  return { rows: rows / 2, columns: columns / 2 }
}

describe('embedPruning over all encoders', () => {
  it.each(visionFiles())('%s: equals the host, features bit by bit', async (file) => {
    const bytes = readModelFile(file)
    const info = inspectEncoder(bytes)
    const layers = { object: info.suggestedObjectLayer, deep: info.deepLayer }
    // The runtime drops roundings to float16 where it sees two casts in a row; a gather may stand between them.
    const tolerance = info.dtype === 'fp16' ? 1e-2 : 0
    const tapped = await createSession(tapAttention(bytes, { layers: [layers.object, layers.deep] }))
    const compiled = await createSession(embedPruning(bytes))
    for (const golden of goldenFor(file).filter((candidate) => takesBatch(info, candidate))) {
      const options = { ...layers, grid: gridFor(file, golden.feeds), features: info.featuresOutput }
      const all = await tapped.run(golden.feeds)
      for (const keep of [1, 5, 21, 64, 1000]) {
        const features = withoutPrefix(all, info.featuresOutput, info.prefixTokens, options.grid)
        const host = hostSelection(features, options, keep)
        expectEqualToHost(
          await compiled.run({ ...golden.feeds, ...keepOf(keep) }),
          info.featuresOutput,
          host,
          tolerance,
        )
      }
    }
  })
})

/** Towers return CLS with the features: the compiled file returns patches only. */
function withoutPrefix(
  outputs: Outputs,
  name: string,
  prefix: number,
  grid: { rows: number; columns: number },
): Outputs {
  const features = outputs[name] as Tensor
  const count = grid.rows * grid.columns
  if (features.dims.length !== 3 || features.dims[1] === count) return outputs
  const [images = 1, tokens = 1, width = 1] = features.dims
  const rows = Array.from({ length: images }, (_, i) =>
    floats(features).subarray((i * tokens + prefix) * width, (i + 1) * tokens * width),
  )
  const patches = Float32Array.from(rows.flatMap((row) => [...row]))
  return { ...outputs, [name]: new Tensor('float32', patches, [images, count, width]) }
}

interface GoldenCases {
  images: {
    pixel_values: BinReference
    cases: { retention: number; alpha: number; object_layer: number; kept: number[]; error?: string }[]
  }[]
}

function joinImages(references: readonly BinReference[]): Tensor {
  const all = references.map(readGoldenBin)
  const joined = Float32Array.from(all.flatMap((pixels) => [...pixels]))
  return new Tensor('float32', joined, [references.length, ...(references[0]?.shape.slice(1) ?? [])])
}

describe('embedPruning against the golden selections of the public code', () => {
  it.each([
    ['clip', 'tiny-clip-vit/onnx/vision_model.onnx', 11],
    ['siglip', 'tiny-siglip-vit/onnx/vision_model.onnx', 8],
  ])('%s, borders clamp', async (name, file, deepLayer) => {
    const { images } = readGolden<GoldenCases>(name)
    const bytes = readModelFile(file)
    const pixels = joinImages(images.map((image) => image.pixel_values))
    const sessions = new Map<string, Promise<InferenceSession>>()
    let compared = 0
    // The images have the same cases in the same order: they run as one batch.
    for (const [at, { retention, alpha, object_layer: objectLayer }] of (images[0]?.cases ?? []).entries()) {
      const options: EmbedOptions = { alpha, objectLayer, deepLayer, borders: 'clamp' }
      const key = JSON.stringify(options)
      if (!sessions.has(key)) sessions.set(key, createSession(embedPruning(bytes, options)))
      const outputs = await (await sessions.get(key)!).run({ pixel_values: pixels, ...keepOf(retention) })
      const kept = numbers(outputs['kept_indices'])
      for (const [i, image] of images.entries()) {
        const one = image.cases[at]
        if (one?.error !== undefined || one?.kept.length !== retention) continue // the public code falls short or crashes here
        expect(kept.slice(i * retention, (i + 1) * retention)).toEqual(one.kept)
        compared++
      }
    }
    expect(compared).toBeGreaterThan(300)
  })
})

/** An "encoder" whose scores the test chooses: queries are zero, so the attention is the softmax of a bias that is fed. */
function scoreModel(rows: number, columns: number): Uint8Array {
  const count = rows * columns
  const model = new MiniModel()
  const pixels = model.input('pixel_values', ['batch', 2, rows, columns])
  const biases = [1, 2].map((layer) => model.input(`bias${layer}`, ['batch', 1, 1, count]))
  const patches = model.node('Conv', [pixels, model.weight([8, 2, 1, 1], randoms(16, 1))], { kernel_shape: [1, 1] })
  let hidden = model.node('Transpose', [model.node('Reshape', [patches, model.integers([0, 8, -1])])], {
    perm: [0, 2, 1],
  })
  for (const bias of biases) hidden = attentionBlock(model, hidden, bias, count)
  model.output('image_features', hidden, ['batch', count, 8])
  return model.finish(17)
}

function attentionBlock(model: MiniModel, hidden: string, bias: string, count: number): string {
  const project = (scale: number): string =>
    model.node('MatMul', [
      hidden,
      model.weight(
        [8, 8],
        randoms(64, 2).map((v) => v * scale),
      ),
    ])
  const heads = (value: string): string =>
    model.node('Transpose', [model.node('Reshape', [value, model.integers([0, count, 2, 4])])], { perm: [0, 2, 1, 3] })
  const scores = model.node('MatMul', [
    heads(project(0)),
    model.node('Transpose', [heads(project(0))], { perm: [0, 1, 3, 2] }),
  ])
  const weights = model.node('Softmax', [model.node('Add', [scores, bias])], { axis: -1 })
  const merged = model.node('Transpose', [model.node('MatMul', [weights, heads(project(1))])], { perm: [0, 2, 1, 3] })
  const out = model.node('MatMul', [
    model.node('Reshape', [merged, model.integers([0, count, 8])]),
    model.weight([8, 8], randoms(64, 3)),
  ])
  return model.node('Add', [hidden, out])
}

describe('embedPruning on scores of any kind', () => {
  // Few distinct values make many ties; the softmax keeps equal biases equal.
  const shapes = ['cross', 'square', 'diagonal', 'row', 'column', 'none'] as const
  const cases = [
    { rows: 1, columns: 2 },
    { rows: 1, columns: 7 },
    { rows: 6, columns: 1 },
    { rows: 3, columns: 5 },
    { rows: 7, columns: 6 },
  ].flatMap((grid, i) =>
    [0, 0.1, 0.35, 1].map((alpha, j) => ({ ...grid, alpha, shape: shapes[(i * 4 + j) % 6] ?? 'cross' })),
  )

  it.each(cases)('$rows x $columns, alpha $alpha, $shape', async ({ rows, columns, alpha, shape }) => {
    const count = rows * columns
    for (const method of ['hiprune', 'hiprune++'] as const) {
      for (const beta of method === 'hiprune' ? [0.1] : [0.1, 0.6]) {
        const session = await createSession(
          embedPruning(scoreModel(rows, columns), { objectLayer: 1, deepLayer: 2, alpha, shape, method, beta }),
        )
        const taps = await createSession(tapAttention(scoreModel(rows, columns), { layers: [1, 2] }))
        const levels = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: count * 2, maxLength: count * 2 })
        await fc.assert(
          fc.asyncProperty(
            levels,
            levels,
            fc.integer({ min: -1, max: count + 2 }),
            fc.integer(),
            async (one, two, keep, seed) => {
              const bias = (values: number[]): Tensor =>
                new Tensor('float32', Float32Array.from(values), [2, 1, 1, count])
              const feeds = {
                pixel_values: new Tensor('float32', randoms(4 * count, seed), [2, 2, rows, columns]),
                bias1: bias(one),
                bias2: bias(two),
              }
              const text = randoms(8, seed + 1)
              const question = method === 'hiprune' ? {} : { text_embedding: new Tensor('float32', text, [8]) }
              const all = await taps.run(feeds)
              const where = { object: 1, deep: 2, grid: { rows, columns }, features: 'image_features' }
              const pruning = { alpha, shape, ...(method === 'hiprune++' && { beta }) }
              const host = hostSelection(
                all,
                where,
                Math.max(1, keep),
                method,
                method === 'hiprune' ? undefined : text,
                pruning,
              )
              expectEqualToHost(await session.run({ ...feeds, ...question, ...keepOf(keep) }), 'image_features', host)
            },
          ),
          { numRuns: 12, seed: 20260 },
        )
      }
    }
  })
})

function isAllowed(bytes: Uint8Array, gather: 'projector' | 'feed-forward'): boolean {
  try {
    embedPruning(bytes, { gather })
    return true
  } catch (error) {
    if (error instanceof ModelError) return false
    throw error
  }
}

describe('embedPruning in front of the projector and the last feed-forward part', () => {
  const allowed = visionFiles().flatMap((file) => {
    const bytes = readModelFile(file)
    return (['projector', 'feed-forward'] as const)
      .filter((gather) => isAllowed(bytes, gather))
      .map((gather) => ({ file, gather }))
  })

  it.each(allowed)('$file, $gather: the same tokens and features', async ({ file, gather }) => {
    const bytes = readModelFile(file)
    const { dtype } = inspectEncoder(bytes)
    const tolerance = dtype === 'fp16' ? 2e-2 : dtype === 'q4' ? 1e-5 : 1e-6
    const late = await createSession(embedPruning(bytes))
    const early = await createSession(embedPruning(bytes, { gather }))
    const [golden] = goldenFor(file)
    for (const keep of [1, 21, 500]) {
      const expected = await late.run({ ...golden!.feeds, ...keepOf(keep) })
      const outputs = await early.run({ ...golden!.feeds, ...keepOf(keep) })
      expect(numbers(outputs['kept_indices'])).toEqual(numbers(expected['kept_indices']))
      expect(outputs['image_features']?.dims).toEqual(expected['image_features']?.dims)
      expect(largestDifference(floats(outputs['image_features']), floats(expected['image_features']))).toBeLessThan(
        tolerance,
      )
    }
  })

  it('is allowed for plain exports', () => {
    expect(allowed).toContainEqual({ file: 'tiny-llava/onnx/vision_encoder.onnx', gather: 'projector' })
    expect(allowed).toContainEqual({ file: 'tiny-llava/onnx/vision_encoder.onnx', gather: 'feed-forward' })
  })

  it.each([
    ['feed-forward', 'tiny-llava/onnx/vision_encoder_quantized.onnx', /DynamicQuantizeLinear/],
    ['projector', 'tiny-qwen2.5-vl/onnx/vision_encoder.onnx', /tokens cannot be followed|no such place/],
    ['feed-forward', 'tiny-siglip-vit/onnx/vision_model.onnx', /"pooler_output" needs all rows/],
  ] as const)('%s is refused for %s', (gather, file, message) => {
    expect(() => embedPruning(readModelFile(file), { gather })).toThrow(ModelError)
    expect(() => embedPruning(readModelFile(file), { gather })).toThrow(message)
  })
})

describe('embedPruning, options', () => {
  let bytes: Uint8Array
  beforeAll(() => {
    bytes = readModelFile('tiny-llava/onnx/vision_encoder_q4.onnx')
  })
  it.each([
    [{ alpha: 1.5 }, /alpha/],
    [{ alpha: NaN }, /alpha/],
    [{ beta: -1 }, /beta/],
    [{ shape: 'star' }, /shape/],
    [{ borders: 'wrap' }, /borders/],
    [{ method: 'random' }, /method/],
    [{ objectLayer: 99 }, /objectLayer: got 99/],
    [{ deepLayer: 0 }, /deepLayer: got 0/],
    [{ sign: 2 }, /sign/],
    [{ gather: 'front' }, /gather/],
    [{ gather: 'projector', method: 'hiprune++' }, /gather/],
  ])('%j', (options, message) => {
    expect(() => embedPruning(bytes, options as EmbedOptions)).toThrow(ArgumentError)
    expect(() => embedPruning(bytes, options as EmbedOptions)).toThrow(message)
  })
})
