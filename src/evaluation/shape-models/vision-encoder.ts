import { dataTypes } from '../../onnx/graph-patch.js'
import { OnnxWriter } from './onnx-writer.js'
import { visualTokensOf, type ShapeSizes, type VisionSizes } from './sizes.js'

/**
 * How exporters write attention: MatMul, Softmax, MatMul; ONNX Runtime's MultiHeadAttention; or the standard Attention (opset 23).
 * The same function in all three.
 */
export type AttentionForm = 'softmax' | 'multi-head-attention' | 'attention'

export interface EncoderForm {
  /** Default 'softmax'. */
  readonly attention?: AttentionForm
  /** One set of weights for all layers: the same work in a smaller file. */
  readonly shareLayers?: boolean
}

/**
 * A CLIP vision tower and LLaVA's projector with random weights, as exporters write them: `pixel_values` [I, 3, S, S] ->
 * `image_features` [I, N, D].
 */
export function visionEncoder({ vision, text }: ShapeSizes, seed: number, form: EncoderForm = {}): OnnxWriter {
  const { attention = 'softmax', shareLayers = false } = form
  const graph = new OnnxWriter({ seed, shareLayers, opset: attention === 'attention' ? 23 : 17 })
  const { image, layers, width } = vision
  const numTokens = visualTokensOf(vision)
  const pixels = graph.input('pixel_values', dataTypes.float, ['num_images', 3, image, image])
  let hidden = embedPatches(graph, pixels, vision) // [I, 1 + N, width]
  for (let layer = 0; layer < layers; layer++) hidden = encoderLayer(graph, hidden, layer, vision, attention)
  const [one, end] = [graph.integers([1]), graph.integers([numTokens + 1])]
  const patches = graph.node('Slice', [hidden, one, end, one]) // CLS is dropped
  const inner = gelu(graph, graph.linear(patches, 'projector.linear_1', [width, text.width], true))
  const features = graph.linear(inner, 'projector.linear_2', [text.width, text.width], true)
  graph.output('image_features', features, ['num_images', numTokens, text.width])
  return graph
}

function embedPatches(graph: OnnxWriter, pixels: string, vision: VisionSizes): string {
  const { patch, width } = vision
  const kernel = graph.weight('patch_embedding.weight', [width, 3, patch, patch])
  const conv = graph.node('Conv', [pixels, kernel], { kernel_shape: [patch, patch], strides: [patch, patch] })
  const flat = graph.node('Reshape', [conv, graph.integers([0, width, -1])])
  const patches = graph.node('Transpose', [flat], { perm: [0, 2, 1] }) // [I, N, width]
  const batch = graph.node('Slice', [graph.node('Shape', [pixels]), graph.integers([0]), graph.integers([1])])
  const shape = graph.node('Concat', [batch, graph.integers([1, width])], { axis: 0 })
  const cls = graph.node('Expand', [graph.weight('class_embedding', [width]), shape])
  const tokens = graph.node('Concat', [cls, patches], { axis: 1 })
  const positions = graph.weight('position_embedding', [visualTokensOf(vision) + 1, width])
  return layerNorm(graph, graph.node('Add', [tokens, positions]), 'pre_layrnorm', width)
}

function encoderLayer(
  graph: OnnxWriter,
  input: string,
  layer: number,
  sizes: VisionSizes,
  form: AttentionForm,
): string {
  const { width, hidden } = sizes
  const name = `layers.${layer}`
  const normed = layerNorm(graph, input, `${name}.layer_norm1`, width)
  const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map((part) =>
    graph.linear(normed, `${name}.self_attn.${part}`, [width, width], true),
  ) as [string, string, string]
  const mixed = attend(graph, { query, key, value }, sizes, form)
  const attended = graph.node('Add', [input, graph.linear(mixed, `${name}.self_attn.out_proj`, [width, width], true)])

  const wide = graph.linear(
    layerNorm(graph, attended, `${name}.layer_norm2`, width),
    `${name}.fc1`,
    [width, hidden],
    true,
  )
  const gate = graph.node('Sigmoid', [graph.node('Mul', [wide, graph.floats(1.702)])])
  const narrow = graph.linear(graph.node('Mul', [wide, gate]), `${name}.fc2`, [hidden, width], true)
  return graph.node('Add', [attended, narrow])
}

/** [I, 1 + N, width] x 3 -> [I, 1 + N, width] */
function attend(
  graph: OnnxWriter,
  { query, key, value }: { readonly query: string; readonly key: string; readonly value: string },
  sizes: VisionSizes,
  form: AttentionForm,
): string {
  const { width, heads } = sizes
  if (form === 'multi-head-attention')
    return graph.runtimeNode('MultiHeadAttention', [query, key, value], { num_heads: heads })
  const tokens = visualTokensOf(sizes) + 1
  const headSize = width / heads
  const split = (part: string, perm = [0, 2, 1, 3]) =>
    graph.node('Transpose', [graph.node('Reshape', [part, graph.integers([0, tokens, heads, headSize])])], { perm })
  const softmax = () => {
    const scaled = graph.node('Mul', [query, graph.floats(headSize ** -0.5)])
    const scores = graph.node('MatMul', [split(scaled), split(key, [0, 2, 3, 1])])
    const attention = graph.node('Softmax', [scores], { axis: -1 }) // [I, heads, 1 + N, 1 + N]
    return graph.node('MatMul', [attention, split(value)])
  }
  const mixed = form === 'attention' ? graph.node('Attention', [split(query), split(key), split(value)]) : softmax()
  const joined = graph.node('Transpose', [mixed], { perm: [0, 2, 1, 3] })
  return graph.node('Reshape', [joined, graph.integers([0, tokens, width])])
}

function layerNorm(graph: OnnxWriter, x: string, name: string, width: number): string {
  const scale = graph.ones(`${name}.weight`, width)
  return graph.node('LayerNormalization', [x, scale, graph.weight(`${name}.bias`, [width])], { axis: -1 })
}

/** x / 2 (1 + erf(x / sqrt 2)) */
function gelu(graph: OnnxWriter, x: string): string {
  const erf = graph.node('Erf', [graph.node('Mul', [x, graph.floats(Math.SQRT1_2)])])
  const half = graph.node('Mul', [x, graph.floats(0.5)])
  return graph.node('Mul', [half, graph.node('Add', [erf, graph.floats(1)])])
}
