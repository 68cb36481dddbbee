import { Tensor, type InferenceSession } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { ModelError } from '../../src/errors.js'
import { inspectEncoder, tapAttention } from '../../src/onnx/index.js'
import { MiniModel, randoms } from './mini-model.js'
import { createSession } from './oracle-models.js'

/*
 * What a fused operator really does is seen from outside: every token carries a one-hot vector of its own position, the
 * values are that vector in every head, and so the operator's result *is* its probabilities. The tap has to return
 * their mean over heads and (valid) queries.
 */
const batch = 2
const heads = 3
const tokens = 5
const size = 8
const hidden = heads * size
const width = tokens + 7

type Operator = (model: MiniModel, parts: Parts) => string

interface Parts {
  /** Tokens [batch, tokens, width]. */
  readonly x: string
  /** Queries, keys and values [batch, tokens, hidden]. */
  readonly project: (which: 0 | 1 | 2) => string
  readonly packedWeights: () => string
}

const randomWeights = [randoms(width * hidden, 1), randoms(width * hidden, 2)]

/** Maps the one-hot part of a token to itself in every head. */
function valueWeights(): Float32Array {
  const weights = new Float32Array(width * hidden)
  for (let token = 0; token < tokens; token++) {
    for (let head = 0; head < heads; head++) weights[token * hidden + head * size + token] = 1
  }
  return weights
}

const weightsOf = (which: 0 | 1 | 2): Float32Array =>
  which === 2 ? valueWeights() : (randomWeights[which] ?? new Float32Array())

function buildModel(operator: Operator, opset: number): Uint8Array {
  const model = new MiniModel()
  const x = model.input('x', ['batch', tokens, width])
  const project = (which: 0 | 1 | 2): string =>
    model.node('MatMul', [x, model.weight([width, hidden], weightsOf(which))])
  const packedWeights = (): string =>
    model.weight([width, hidden * 3], packColumns([weightsOf(0), weightsOf(1), weightsOf(2)]))
  const attended = operator(model, { x, project, packedWeights })
  model.output('probabilities', attended, ['batch', null, null, null].slice(0, 3))
  const out = model.node('MatMul', [attended, model.weight([hidden, width], randoms(hidden * width, 3))])
  model.output('image_features', model.node('Add', [out, x]), ['batch', tokens, width])
  return model.finish(opset)
}

function packColumns(matrices: readonly Float32Array[]): Float32Array {
  const packed = new Float32Array(width * hidden * matrices.length)
  for (const [m, matrix] of matrices.entries()) {
    for (let i = 0; i < matrix.length; i++) {
      packed[Math.floor(i / hidden) * hidden * matrices.length + m * hidden + (i % hidden)] = matrix[i] ?? 0
    }
  }
  return packed
}

function inputTokens(): Float32Array {
  const x = randoms(batch * tokens * width, 4)
  for (let row = 0; row < batch * tokens; row++) {
    for (let i = 0; i < tokens; i++) x[row * width + i] = i === row % tokens ? 1 : 0
  }
  return x
}

/** Mean over heads and valid queries of the probabilities that the operator returned; quantised ones are all off by one factor. */
function receivedFrom(result: Tensor, valid: readonly (readonly number[])[]): number[] {
  const raw = result.data as Float32Array
  const factor = raw.subarray(0, size).reduce((a, b) => a + b, 0)
  const data = raw.map((value) => value / factor)
  return valid.flatMap((validRow, b) =>
    Array.from({ length: tokens }, (_, key) => {
      let sum = 0
      for (let q = 0; q < tokens; q++) {
        for (let h = 0; h < heads; h++)
          sum += (validRow[q] ?? 0) * (data[((b * tokens + q) * heads + h) * size + key] ?? NaN)
      }
      return sum / heads / validRow.reduce((a, c) => a + c, 0)
    }),
  )
}

const everyone = Array.from({ length: batch }, () => new Array<number>(tokens).fill(1))
const padded = [
  [1, 1, 1, 0, 0],
  [1, 1, 1, 1, 1],
]
/** The same as rows of a full mask: [batch, 1, queries, keys]. */
const paddedRows = padded.flatMap((row) => Array.from({ length: tokens }, () => row).flat())
const int32 = (values: readonly number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer)
const toHeads = (model: MiniModel, value: string): string =>
  model.node('Transpose', [model.node('Reshape', [value, model.integers([0, 0, heads, size])])], { perm: [0, 2, 1, 3] })
const fromHeads = (model: MiniModel, value: string): string =>
  model.node('Reshape', [model.node('Transpose', [value], { perm: [0, 2, 1, 3] }), model.integers([0, 0, hidden])])
const attributes = { num_heads: heads }
/** No bias on the values: they have to stay one-hot. */
const bias = (model: MiniModel): string =>
  model.weight([hidden * 3], [...randoms(hidden * 2, 9), ...new Float32Array(hidden)])
const attentionBias = (model: MiniModel, dims: number[]): string =>
  model.weight(
    dims,
    randoms(
      dims.reduce((a, b) => a * b, 1),
      10,
    ),
  )
/** Two windows, {0, 1, 2} and {3, 4}: every key is seen, by its own window. */
const windows = Array.from({ length: tokens * tokens }, (_, i) => Number(Math.floor(i / tokens) < 3 === i % tokens < 3))
const windowBias = (model: MiniModel): string =>
  model.weight(
    [1, 1, tokens, tokens],
    windows.map((visible) => (visible ? 0 : -10000)),
  )
/** A mask that a graph makes from its input, as exporters do. */
const booleans = (model: MiniModel, dims: number[], values: readonly number[], x: string): string => {
  const zero = model.node('ReduceSum', [model.node('Mul', [x, model.weight([], [0])]), model.integers([0, 1, 2])], {
    keepdims: 0,
  })
  return model.node('Greater', [model.node('Add', [model.weight(dims, values), zero]), model.weight([], [0.5])])
}

/** The input quantised by the graph, the weights here: symmetric, one scale, 7 bits so that no CPU's sums saturate. */
function quantised(model: MiniModel, parts: Parts): string[] {
  const [input = '', scale = '', zero = ''] = model.nodes('DynamicQuantizeLinear', [parts.x], 3)
  const weights = packColumns([weightsOf(0), weightsOf(1), weightsOf(2)])
  const rounded = Int8Array.from(weights, (value) => Math.round(value * 63))
  const stored = model.tensor([width, hidden * 3], 3, new Uint8Array(rounded.buffer))
  return [input, stored, bias(model), scale, model.weight([1], [1 / 63]), '', zero]
}

const cases: [string, Operator, { opset?: number; valid?: number[][] }?][] = [
  ['com.microsoft.Attention, bias', (m, p) => m.contrib('Attention', [p.x, p.packedWeights(), bias(m)], attributes)],
  [
    'com.microsoft.Attention, own scale and sizes',
    (m, p) =>
      m.contrib('Attention', [p.x, p.packedWeights(), bias(m)], {
        ...attributes,
        scale: { float: 0.8 },
        qkv_hidden_sizes: [hidden, hidden, hidden],
      }),
  ],
  [
    'com.microsoft.Attention, key mask',
    (m, p) =>
      m.contrib(
        'Attention',
        [p.x, p.packedWeights(), bias(m), m.tensor([batch, tokens], 6, int32(padded.flat()))],
        attributes,
      ),
    { valid: padded },
  ],
  [
    'com.microsoft.Attention, attention bias',
    (m, p) =>
      m.contrib(
        'Attention',
        [p.x, p.packedWeights(), bias(m), '', '', attentionBias(m, [batch, heads, tokens, tokens])],
        attributes,
      ),
  ],
  ['com.microsoft.QAttention', (m, p) => m.contrib('QAttention', quantised(m, p), attributes)],
  [
    'MultiHeadAttention',
    (m, p) => m.contrib('MultiHeadAttention', [p.project(0), p.project(1), p.project(2)], attributes),
  ],
  [
    'MultiHeadAttention, bias',
    (m, p) => m.contrib('MultiHeadAttention', [p.project(0), p.project(1), p.project(2), bias(m)], attributes),
  ],
  [
    'MultiHeadAttention, key padding mask',
    (m, p) =>
      m.contrib(
        'MultiHeadAttention',
        [p.project(0), p.project(1), p.project(2), '', m.tensor([batch, tokens], 6, int32(padded.flat()))],
        attributes,
      ),
    { valid: padded },
  ],
  [
    'MultiHeadAttention, attention bias',
    (m, p) =>
      m.contrib(
        'MultiHeadAttention',
        [p.project(0), p.project(1), p.project(2), '', '', attentionBias(m, [1, heads, tokens, tokens])],
        attributes,
      ),
  ],
  [
    'MultiHeadAttention, windows as attention bias',
    (m, p) =>
      m.contrib('MultiHeadAttention', [p.project(0), p.project(1), p.project(2), bias(m), '', windowBias(m)], {
        ...attributes,
        scale: { float: 1.5 },
      }),
  ],
  [
    'MultiHeadAttention, keys and values split into heads',
    (m, p) =>
      m.contrib('MultiHeadAttention', [p.project(0), toHeads(m, p.project(1)), toHeads(m, p.project(2))], attributes),
  ],
  [
    'ai.onnx Attention, rank 4',
    (m, p) =>
      fromHeads(m, m.node('Attention', [toHeads(m, p.project(0)), toHeads(m, p.project(1)), toHeads(m, p.project(2))])),
    { opset: 23 },
  ],
  [
    'ai.onnx Attention, rank 3, scale and soft cap',
    (m, p) =>
      m.node('Attention', [p.project(0), p.project(1), p.project(2)], {
        q_num_heads: heads,
        kv_num_heads: heads,
        scale: { float: 0.9 },
        softcap: { float: 1.25 },
      }),
    { opset: 23 },
  ],
  [
    'ai.onnx Attention, boolean windows',
    (m, p) =>
      m.node('Attention', [p.project(0), p.project(1), p.project(2), booleans(m, [tokens, tokens], windows, p.x)], {
        q_num_heads: heads,
        kv_num_heads: heads,
      }),
    { opset: 23 },
  ],
  [
    'ai.onnx Attention, boolean padding',
    (m, p) =>
      m.node(
        'Attention',
        [p.project(0), p.project(1), p.project(2), booleans(m, [batch, 1, tokens, tokens], paddedRows, p.x)],
        {
          q_num_heads: heads,
          kv_num_heads: heads,
        },
      ),
    { opset: 23, valid: padded },
  ],
  [
    'ai.onnx Attention, added mask',
    (m, p) =>
      m.node('Attention', [p.project(0), p.project(1), p.project(2), attentionBias(m, [batch, 1, tokens, tokens])], {
        q_num_heads: heads,
        kv_num_heads: heads,
      }),
    { opset: 23 },
  ],
  [
    'Softmax graph with padding added to the scores',
    (m, p) => {
      const scores = m.node('MatMul', [
        toHeads(m, p.project(0)),
        m.node('Transpose', [toHeads(m, p.project(1))], { perm: [0, 1, 3, 2] }),
      ])
      const hidden32 = m.node(
        'Cast',
        [
          booleans(
            m,
            [batch, 1, 1, tokens],
            padded.flat().map((v) => 1 - v),
            p.x,
          ),
        ],
        { to: 1 },
      )
      const masked = m.node('Add', [scores, m.node('Mul', [hidden32, m.weight([], [-1e30])])])
      return fromHeads(m, m.node('MatMul', [m.node('Softmax', [masked], { axis: -1 }), toHeads(m, p.project(2))]))
    },
    { valid: padded },
  ],
  [
    'Softmax graph with a condition',
    (m, p) => {
      const scores = m.node('MatMul', [
        toHeads(m, p.project(0)),
        m.node('Transpose', [toHeads(m, p.project(1))], { perm: [0, 1, 3, 2] }),
      ])
      const visible = booleans(m, [batch, 1, 1, tokens], padded.flat(), p.x)
      const masked = m.node('Where', [visible, scores, m.weight([], [-1e9])])
      return fromHeads(m, m.node('MatMul', [m.node('Softmax', [masked], { axis: -1 }), toHeads(m, p.project(2))]))
    },
    { valid: padded },
  ],
  [
    'Softmax graph with heads in the batch axis',
    (m, p) => {
      const flat = (value: string): string => m.node('Reshape', [toHeads(m, value), m.integers([-1, tokens, size])])
      const scores = m.node('MatMul', [
        flat(p.project(0)),
        m.node('Transpose', [flat(p.project(1))], { perm: [0, 2, 1] }),
      ])
      const sum = m.node('MatMul', [m.node('Softmax', [scores], { axis: -1 }), flat(p.project(2))])
      return fromHeads(m, m.node('Reshape', [sum, m.integers([-1, heads, tokens, size])]))
    },
  ],
]

const packed: [string, Operator][] = [
  [
    'MultiHeadAttention, packed queries, keys and values',
    (m, p) => {
      const stacked = [0, 1, 2].map((which) =>
        m.node('Reshape', [p.project(which as 0), m.integers([0, 0, heads, 1, size])]),
      )
      return m.contrib('MultiHeadAttention', [m.node('Concat', stacked, { axis: 3 })], attributes)
    },
  ],
  [
    'MultiHeadAttention, packed keys and values',
    (m, p) => {
      const stacked = [1, 2].map((which) =>
        m.node('Reshape', [p.project(which as 1), m.integers([0, 0, heads, 1, size])]),
      )
      return m.contrib('MultiHeadAttention', [p.project(0), m.node('Concat', stacked, { axis: 3 })], attributes)
    },
  ],
]

async function run(bytes: Uint8Array): Promise<InferenceSession.OnnxValueMapType> {
  const session = await createSession(bytes)
  return session.run({ x: new Tensor('float32', inputTokens(), [batch, tokens, width]) })
}

describe('attention operators, against what they return', () => {
  it.each(cases)('%s', async (_, operator, options = {}) => {
    const bytes = buildModel(operator, options.opset ?? 17)
    expect(inspectEncoder(bytes).problems).toEqual([])
    expect(inspectEncoder(bytes).layers[0]?.heads).toBe(heads)
    const outputs = await run(tapAttention(bytes, { layers: [1] }))
    const expected = receivedFrom(outputs['probabilities'] as Tensor, options.valid ?? everyone)
    const received = outputs['attention_received.1'] as Tensor
    expect(received.dims).toEqual([batch, tokens])
    for (const [i, score] of (received.data as Float32Array).entries()) expect(score).toBeCloseTo(expected[i] ?? NaN, 5)
  })

  // ONNX Runtime runs the packed forms on CUDA only: here they are loaded, which checks types and shapes.
  it.each(packed)('%s: loads', async (_, operator) => {
    const session = await createSession(tapAttention(buildModel(operator, 17), { layers: [1] }))
    expect(session.outputNames).toContain('attention_received.1')
  })

  const refused: [string, Operator, RegExp][] = [
    [
      'causal',
      (m, p) => m.contrib('Attention', [p.x, p.packedWeights(), bias(m)], { ...attributes, unidirectional: 1 }),
      /unidirectional = 1/,
    ],
    [
      'rotary',
      (m, p) => m.contrib('Attention', [p.x, p.packedWeights(), bias(m)], { ...attributes, do_rotary: 1 }),
      /do_rotary = 1/,
    ],
    [
      'grouped',
      (m, p) => m.contrib('GroupQueryAttention', [p.project(0), p.project(1), p.project(2)], attributes),
      /GroupQueryAttention, which cannot be tapped/,
    ],
    [
      'no heads',
      (m, p) => m.contrib('MultiHeadAttention', [p.project(0), p.project(1), p.project(2)], {}),
      /num_heads = 0/,
    ],
  ]
  it.each(refused)('refuses %s', (_, operator, message) => {
    expect(() => tapAttention(buildModel(operator, 17), { layers: [1] })).toThrow(ModelError)
    expect(() => tapAttention(buildModel(operator, 17), { layers: [1] })).toThrow(message)
  })
})
