import { dataTypes } from '../../onnx/graph-patch.js'
import { OnnxWriter } from './onnx-writer.js'
import { visualTokensOf, type ShapeSizes, type VisionSizes } from './sizes.js'

/**
 * A CLIP vision tower and LLaVA's projector with random weights, as exporters write them: `pixel_values` [I, 3, S, S] ->
 * `image_features` [I, N, D].
 */
export function visionEncoder({ vision, text }: ShapeSizes, seed: number): OnnxWriter {
  const graph = new OnnxWriter(seed)
  const { image, layers, width } = vision
  const numTokens = visualTokensOf(vision)
  const pixels = graph.input('pixel_values', dataTypes.float, ['num_images', 3, image, image])
  let hidden = embedPatches(graph, pixels, vision) // [I, 1 + N, width]
  for (let layer = 0; layer < layers; layer++) hidden = encoderLayer(graph, hidden, layer, vision)
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

function encoderLayer(graph: OnnxWriter, input: string, layer: number, sizes: VisionSizes): string {
  const { width, hidden, heads } = sizes
  const name = `layers.${layer}`
  const headSize = width / heads
  const tokens = visualTokensOf(sizes) + 1
  const normed = layerNorm(graph, input, `${name}.layer_norm1`, width)
  const split = (value: string, perm: number[]) =>
    graph.node('Transpose', [graph.node('Reshape', [value, graph.integers([0, tokens, heads, headSize])])], { perm })
  const project = (part: string) => graph.linear(normed, `${name}.self_attn.${part}`, [width, width], true)

  const query = graph.node('Mul', [project('q_proj'), graph.floats(headSize ** -0.5)])
  const scores = graph.node('MatMul', [split(query, [0, 2, 1, 3]), split(project('k_proj'), [0, 2, 3, 1])])
  const attention = graph.node('Softmax', [scores], { axis: -1 }) // [I, heads, 1 + N, 1 + N]
  const mixed = graph.node('MatMul', [attention, split(project('v_proj'), [0, 2, 1, 3])])
  const joined = graph.node('Transpose', [mixed], { perm: [0, 2, 1, 3] })
  const merged = graph.node('Reshape', [joined, graph.integers([0, tokens, width])])
  const attended = graph.node('Add', [input, graph.linear(merged, `${name}.self_attn.out_proj`, [width, width], true)])

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
