import { dataTypes } from '../../onnx/graph-patch.js'
import type { TextShape } from '../flops/shape.js'
import { OnnxWriter } from './onnx-writer.js'

const ROPE_THETA = 1e6
const BATCH = 'batch_size'

/** The input embeddings: `input_ids` [B, T] -> `inputs_embeds` [B, T, D]. */
export function embedTokens({ vocabulary, width }: TextShape, seed: number): OnnxWriter {
  const graph = new OnnxWriter({ seed })
  const ids = graph.input('input_ids', dataTypes.int64, [BATCH, 'sequence_length'])
  const rows = graph.node('Gather', [graph.weight('embed_tokens.weight', [vocabulary, width]), ids])
  graph.output('inputs_embeds', rows, [BATCH, 'sequence_length', width])
  return graph
}

/**
 * A decoder built like Qwen2 (RMS norm, rotary positions, grouped heads, gated feed-forward) with random weights and a KV cache,
 * with the inputs and outputs that Transformers.js expects. `num_logits_to_keep` keeps the output head to the last position.
 */
export function decoder(text: TextShape, seed: number): OnnxWriter {
  const graph = new OnnxWriter({ seed })
  const { layers, width, vocabulary, kvHeads, headSize } = text
  const embeds = graph.input('inputs_embeds', dataTypes.float, [BATCH, 'sequence_length', width])
  const mask = graph.input('attention_mask', dataTypes.int64, [BATCH, 'total_sequence_length'])
  const positions = graph.input('position_ids', dataTypes.int64, [BATCH, 'sequence_length'])
  const kept = graph.input('num_logits_to_keep', dataTypes.int64, [])
  const shared = { ...rotation(graph, positions, headSize), mask: causalMask(graph, embeds, mask, text) }
  let hidden = embeds
  for (let layer = 0; layer < layers; layer++) {
    const [key, value] = ['key', 'value'].map((part) =>
      graph.input(`past_key_values.${layer}.${part}`, dataTypes.float, [
        BATCH,
        kvHeads,
        'past_sequence_length',
        headSize,
      ]),
    ) as [string, string]
    hidden = decoderLayer(graph, hidden, layer, text, shared, { key, value })
  }
  const last = lastPositions(graph, rmsNorm(graph, hidden, 'norm', width), kept)
  const logits = graph.linear(last, 'lm_head', [width, vocabulary], false)
  graph.output('logits', logits, [BATCH, 'num_logits', vocabulary])
  return graph
}

/** What all layers read. */
interface Shared {
  /** [B, 1, T, headSize] */
  readonly cos: string
  readonly sin: string
  /** Added to the scores: [B, 1, group * T, past + T] */
  readonly mask: string
}

function decoderLayer(
  graph: OnnxWriter,
  input: string,
  layer: number,
  { width, hidden, heads, kvHeads, headSize }: TextShape,
  shared: Shared,
  past: { readonly key: string; readonly value: string },
): string {
  const name = `layers.${layer}`
  const normed = rmsNorm(graph, input, `${name}.input_layernorm`, width)
  const project = (part: string, count: number) => {
    const flat = graph.linear(normed, `${name}.self_attn.${part}`, [width, count * headSize], true)
    const split = graph.node('Reshape', [flat, graph.integers([0, 0, count, headSize])])
    return graph.node('Transpose', [split], { perm: [0, 2, 1, 3] }) // [B, count, T, headSize]
  }
  const query = rotate(graph, project('q_proj', heads), shared, headSize)
  const fresh = { key: rotate(graph, project('k_proj', kvHeads), shared, headSize), value: project('v_proj', kvHeads) }
  const [key, value] = (['key', 'value'] as const).map((part) => {
    const all = graph.node('Concat', [past[part], fresh[part]], { axis: 2 })
    const dims = [BATCH, kvHeads, 'total_sequence_length', headSize]
    graph.output(`present.${layer}.${part}`, all, dims)
    return all
  }) as [string, string]

  // The queries of a group stand below each other, so that keys and values need not be repeated.
  const scaled = graph.node('Mul', [query, graph.floats(headSize ** -0.5)])
  const grouped = graph.node('Reshape', [scaled, graph.integers([0, kvHeads, -1, headSize])])
  const scores = graph.node('MatMul', [grouped, graph.node('Transpose', [key], { perm: [0, 1, 3, 2] })])
  const attention = graph.node('Softmax', [graph.node('Add', [scores, shared.mask])], { axis: -1 })
  const mixed = graph.node('Reshape', [
    graph.node('MatMul', [attention, value]),
    graph.integers([0, heads, -1, headSize]),
  ])
  const joined = graph.node('Transpose', [mixed], { perm: [0, 2, 1, 3] })
  const merged = graph.node('Reshape', [joined, graph.integers([0, 0, heads * headSize])])
  const projected = graph.linear(merged, `${name}.self_attn.o_proj`, [heads * headSize, width], false)
  const attended = graph.node('Add', [input, projected])
  return graph.node('Add', [attended, feedForward(graph, attended, name, [width, hidden])])
}

/** down(silu(gate(x)) * up(x)) */
function feedForward(graph: OnnxWriter, x: string, name: string, [width, hidden]: readonly [number, number]): string {
  const normed = rmsNorm(graph, x, `${name}.post_attention_layernorm`, width)
  const gate = graph.linear(normed, `${name}.mlp.gate_proj`, [width, hidden], false)
  const up = graph.linear(normed, `${name}.mlp.up_proj`, [width, hidden], false)
  const silu = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])])
  return graph.linear(graph.node('Mul', [silu, up]), `${name}.mlp.down_proj`, [hidden, width], false)
}

/** Written in full, as exporters do; ONNX Runtime fuses it. */
function rmsNorm(graph: OnnxWriter, x: string, name: string, width: number): string {
  const square = graph.node('Pow', [x, graph.floats(2)])
  const mean = graph.node('ReduceMean', [square], { axes: [-1], keepdims: 1 })
  const root = graph.node('Sqrt', [graph.node('Add', [mean, graph.floats(1e-6)])])
  const normed = graph.node('Mul', [x, graph.node('Div', [graph.floats(1), root])])
  return graph.node('Mul', [graph.ones(`${name}.weight`, width), normed])
}

/** Cosines and sines of every position: [B, 1, T, headSize]. */
function rotation(graph: OnnxWriter, positions: string, headSize: number): { cos: string; sin: string } {
  const frequencies = Array.from({ length: headSize / 2 }, (_, i) => ROPE_THETA ** ((-2 * i) / headSize))
  const float = graph.node('Cast', [positions], { to: dataTypes.float })
  const column = graph.node('Unsqueeze', [float, graph.integers([1, 3])]) // [B, 1, T, 1]
  const half = graph.node('Mul', [column, graph.floats(frequencies)])
  const angles = graph.node('Concat', [half, half], { axis: -1 })
  return { cos: graph.node('Cos', [angles]), sin: graph.node('Sin', [angles]) }
}

/** x cos + (-x2, x1) sin, where x1 and x2 are the halves of x. */
function rotate(graph: OnnxWriter, x: string, { cos, sin }: Shared, headSize: number): string {
  const halves = graph.integers([headSize / 2, headSize / 2])
  const [first, second] = graph.nodeOf('Split', [x, halves], { axis: -1 }, 2) as [string, string]
  const turned = graph.node('Concat', [graph.node('Neg', [second]), first], { axis: -1 })
  return graph.node('Add', [graph.node('Mul', [x, cos]), graph.node('Mul', [turned, sin])])
}

/** 0 where a query may look, a large negative number elsewhere: [B, 1, group * T, past + T]. */
function causalMask(graph: OnnxWriter, embeds: string, mask: string, { heads, kvHeads }: TextShape): string {
  const one = graph.integers(1)
  const length = graph.node('Gather', [graph.node('Shape', [embeds]), one]) // T
  const total = graph.node('Gather', [graph.node('Shape', [mask]), one]) // past + T
  const keys = graph.node('Range', [graph.integers(0), total, one])
  const queries = graph.node('Range', [graph.node('Sub', [total, length]), total, one])
  const rows = graph.node('Unsqueeze', [queries, graph.integers([1])])
  const before = graph.node('Not', [graph.node('Greater', [keys, rows])]) // [T, past + T]
  const attended = graph.node('Cast', [mask], { to: dataTypes.bool })
  const visible = graph.node('And', [before, graph.node('Unsqueeze', [attended, graph.integers([1, 2])])])
  const scores = graph.node('Where', [visible, graph.floats(0), graph.floats(-1e9)])
  return graph.node('Tile', [scores, graph.integers([1, 1, heads / kvHeads, 1])])
}

/** The last `kept` positions, or all of them for 0. */
function lastPositions(graph: OnnxWriter, hidden: string, kept: string): string {
  const start = graph.node('Reshape', [graph.node('Neg', [kept]), graph.integers([1])])
  return graph.node('Slice', [hidden, start, graph.integers([2 ** 31]), graph.integers([1])])
}
