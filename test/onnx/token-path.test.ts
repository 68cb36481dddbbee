import { Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import {
  checkReceivedAttention,
  embedPruning,
  inspectEncoder,
  tapAttention,
  type ScoreTensor,
} from '../../src/onnx/index.js'
import { MiniModel, randoms } from './mini-model.js'
import { createSession } from './oracle-models.js'

/*
 * One small encoder and the ways in which real ones turn its patches into visual tokens. The received attention of patches is
 * taken from the probabilities themselves, and merged here as the paper says: a token's score is the mean over its patches.
 */
const rows = 4
const columns = 6
const patches = rows * columns
const width = 8

interface Trunk {
  readonly model: MiniModel
  /** Patches behind one attention layer, [batch, tokens, width]. */
  readonly hidden: string
}

type Added = { prefix?: number; suffix?: number }

function trunk({ prefix = 0, suffix = 0 }: Added = {}): Trunk {
  const model = new MiniModel()
  const pixels = model.input('pixel_values', ['batch', 3, rows * 2, columns * 2])
  const conv = model.node(
    'Conv',
    [pixels, model.weight([width, 3, 2, 2], randoms(width * 12, 1)), model.weight([width], randoms(width, 2))],
    { kernel_shape: [2, 2], strides: [2, 2] },
  )
  const tokens = model.node('Transpose', [model.node('Reshape', [conv, model.integers([0, width, -1])])], {
    perm: [0, 2, 1],
  })
  const parts = [...added(model, pixels, prefix, 3), tokens, ...added(model, pixels, suffix, 4)]
  const all = parts.length > 1 ? model.node('Concat', parts, { axis: 1 }) : tokens
  return { model, hidden: attention(model, all, patches + prefix + suffix) }
}

/** Learned tokens, repeated for every image of the batch. */
function added(model: MiniModel, pixels: string, count: number, seed: number): string[] {
  if (count === 0) return []
  const batch = model.node('Slice', [model.node('Shape', [pixels]), model.integers([0]), model.integers([1])])
  const shape = model.node('Concat', [batch, model.integers([count, width])], { axis: 0 })
  return [model.node('Expand', [model.weight([1, count, width], randoms(count * width, seed)), shape])]
}

function attention(model: MiniModel, x: string, count: number, seed = 5): string {
  const project = (at: number): string =>
    model.node('MatMul', [x, model.weight([width, width], randoms(width * width, seed + at))])
  const heads = (value: string, perm: number[]): string =>
    model.node('Transpose', [model.node('Reshape', [value, model.integers([0, count, 2, width / 2])])], { perm })
  const scores = model.node('MatMul', [heads(project(0), [0, 2, 1, 3]), heads(project(1), [0, 2, 3, 1])])
  const weights = model.node('Softmax', [scores], { axis: -1 })
  model.output(`probabilities${seed}`, weights, ['batch', 2, count, count])
  const sum = model.node('Transpose', [model.node('MatMul', [weights, heads(project(2), [0, 2, 1, 3])])], {
    perm: [0, 2, 1, 3],
  })
  const out = model.node('MatMul', [
    model.node('Reshape', [sum, model.integers([0, count, width])]),
    model.weight([width, width], randoms(width * width, seed + 3)),
  ])
  return model.node('Add', [x, out])
}

const reshape = (model: MiniModel, value: string, dims: number[]): string =>
  model.node('Reshape', [value, model.integers(dims)])
const swap = (model: MiniModel, value: string, perm: number[]): string => model.node('Transpose', [value], { perm })
const project = (model: MiniModel, value: string, from: number): string =>
  model.node('MatMul', [value, model.weight([from, 4], randoms(from * 4, 20))])

/** Idefics3 and SmolVLM: s x s patches become channels of one token. */
function pixelShuffle({ model, hidden }: Trunk): string {
  const lines = reshape(model, reshape(model, hidden, [-1, rows, columns, width]), [-1, rows, columns / 2, width * 2])
  const blocks = reshape(model, swap(model, lines, [0, 2, 1, 3]), [-1, columns / 2, rows / 2, width * 4])
  return project(model, reshape(model, swap(model, blocks, [0, 2, 1, 3]), [-1, patches / 4, width * 4]), width * 4)
}

/** Gemma 3: average pooling over the grid. */
function averagePool({ model, hidden }: Trunk): string {
  const image = reshape(model, swap(model, hidden, [0, 2, 1]), [-1, width, rows, columns])
  const pooled = model.node('AveragePool', [image], { kernel_shape: [2, 2], strides: [2, 2] })
  return project(model, swap(model, reshape(model, pooled, [0, width, -1]), [0, 2, 1]), width)
}

/** Qwen2-VL and LFM2-VL's way: four consecutive rows become one. */
function consecutive({ model, hidden }: Trunk): string {
  return project(model, reshape(model, hidden, [0, patches / 4, width * 4]), width * 4)
}

/** Received attention of patches, from the probabilities, per image. */
function receivedByPatches(probabilities: Tensor, prefix: number): number[][] {
  const [batch = 0, heads = 0, queries = 0, keys = 0] = probabilities.dims
  const data = probabilities.data as Float32Array
  return Array.from({ length: batch }, (_, b) =>
    Array.from({ length: patches }, (_, patch) => {
      let sum = 0
      for (let row = 0; row < heads * queries; row++)
        sum += data[(b * heads * queries + row) * keys + prefix + patch] ?? NaN
      return sum / heads / queries
    }),
  )
}

const block = (scores: number[], token: number): number => {
  const [row, column] = [Math.floor(token / (columns / 2)) * 2, (token % (columns / 2)) * 2]
  const at = (r: number, c: number): number => scores[r * columns + c] ?? NaN
  return (at(row, column) + at(row, column + 1) + at(row + 1, column) + at(row + 1, column + 1)) / 4
}
const run4 = (scores: number[], token: number): number =>
  scores.slice(token * 4, token * 4 + 4).reduce((a, b) => a + b) / 4
const same = (scores: number[], token: number): number => scores[token] ?? NaN

type Merge = (scores: number[], token: number) => number

const cases: [string, (t: Trunk) => string, Merge, number, Added?][] = [
  ['a plain projector', (t) => project(t.model, t.hidden, width), same, patches],
  [
    'CLS dropped by a Slice',
    (t) =>
      project(
        t.model,
        t.model.node('Slice', [t.hidden, t.model.integers([1]), t.model.integers([1000]), t.model.integers([1])]),
        width,
      ),
    same,
    patches,
    { prefix: 1 },
  ],
  ['CLS and four registers returned', (t) => project(t.model, t.hidden, width), same, patches, { prefix: 5 }],
  [
    'features of two depths side by side',
    (t) =>
      project(t.model, t.model.node('Concat', [t.hidden, t.model.node('Relu', [t.hidden])], { axis: 2 }), width * 2),
    same,
    patches,
  ],
  ['pixel shuffle', pixelShuffle, block, patches / 4],
  ['average pooling', averagePool, block, patches / 4],
  ['consecutive patches merged', consecutive, run4, patches / 4],
]

describe('patches on their way to visual tokens', () => {
  it.each(cases)('%s', async (_, finish, merge, tokens, added = {}) => {
    const built = trunk(added)
    built.model.output('image_features', finish(built), ['batch', null, null])
    const bytes = built.model.finish()
    const info = inspectEncoder(bytes)
    expect(info.problems).toEqual([])
    expect(info).toMatchObject({ prefixTokens: added.prefix ?? 0, patchesPerToken: patches / tokens })
    const pixels = new Tensor('float32', randoms(2 * 3 * rows * 2 * columns * 2, 9), [2, 3, rows * 2, columns * 2])
    const outputs = await (await createSession(tapAttention(bytes, { layers: [1] }))).run({ pixel_values: pixels })
    const received = outputs['attention_received.1'] as Tensor
    const expected = receivedByPatches(outputs['probabilities5'] as Tensor, added.prefix ?? 0)
    expect(received.dims).toEqual([2, tokens])
    for (const [i, score] of (received.data as Float32Array).entries()) {
      expect(score).toBeCloseTo(merge(expected[Math.floor(i / tokens)] ?? [], i % tokens), 6)
    }
    checkReceivedAttention(outputs as unknown as Record<string, ScoreTensor>, info.patchesPerToken)
  })

  it('tokens behind the patches are a problem that is told', () => {
    const built = trunk({ suffix: 2 })
    built.model.output('image_features', project(built.model, built.hidden, width), ['batch', null, null])
    expect(inspectEncoder(built.model.finish()).problems).toEqual(['the encoder adds tokens behind the patches'])
  })

  it('a merged encoder is pruned by the grid of its tokens', async () => {
    const built = trunk()
    built.model.output('image_features', pixelShuffle(built), ['batch', null, null])
    const bytes = built.model.finish()
    expect(inspectEncoder(bytes).grid).toEqual({ rows: rows / 2, columns: columns / 2 })
    const pixels = new Tensor('float32', randoms(3 * rows * 2 * columns * 2, 9), [1, 3, rows * 2, columns * 2])
    const keep = new Tensor('int64', [2n], [1])
    const outputs = await (await createSession(embedPruning(bytes))).run({ pixel_values: pixels, K: keep })
    expect(outputs['image_features']?.dims).toEqual([1, 2, 4])
  })
})

describe('layers', () => {
  it('are numbered by data flow, not by the order in the file', async () => {
    const built = trunk()
    const second = attention(built.model, built.hidden, patches, 50)
    built.model.output('image_features', project(built.model, second, width), ['batch', null, null])
    const sorted = built.model.finish()
    const shuffled = built.model.finish(17, true)
    const pixels = new Tensor('float32', randoms(3 * rows * 2 * columns * 2, 9), [1, 3, rows * 2, columns * 2])
    const results = await Promise.all(
      [sorted, shuffled].map(async (bytes) =>
        (await createSession(tapAttention(bytes, { layers: [1, 2] }))).run({ pixel_values: pixels }),
      ),
    )
    for (const name of ['attention_received.1', 'attention_received.2'])
      expect(results[1]?.[name]?.data).toEqual(results[0]?.[name]?.data)
    expect(inspectEncoder(shuffled).layers).toHaveLength(2)
  })

  it('behind the features are none', () => {
    const built = trunk()
    built.model.output('image_features', project(built.model, built.hidden, width), ['batch', null, null])
    built.model.output('unused', attention(built.model, built.hidden, patches, 50), ['batch', null, null])
    expect(inspectEncoder(built.model.finish())).toMatchObject({ deepLayer: 1, problems: [] })
  })
})

describe('checkReceivedAttention', () => {
  const good = {
    'attention_received.3': { dims: [1, 2], data: [0.5, 0.25] },
    'attention_prefix.3': { dims: [1, 1], data: [0.25] },
  }
  it('accepts scores that sum to 1', () => {
    expect(() => checkReceivedAttention(good)).not.toThrow()
  })
  it.each([
    ['a sum that is off', { ...good, 'attention_prefix.3': { dims: [1, 1], data: [0.2] } }, /image 0 sums to 0.95/],
    ['NaN', { 'attention_received.3': { dims: [1, 2], data: [NaN, 0.5] } }, /score 0 is NaN/],
    ['a negative score', { 'attention_received.3': { dims: [1, 2], data: [-0.5, 1.5] } }, /score 0 is -0.5/],
    ['no taps', { image_features: { dims: [1, 2], data: [1, 2] } }, /has not been tapped/],
  ])('refuses %s', (_, outputs, message) => {
    expect(() => checkReceivedAttention(outputs as unknown as Record<string, ScoreTensor>)).toThrow(message)
  })
})
