// Vision transformers of any size with random weights, written as ONNX by hand: what the benchmarks run.
import { encodeNode, encodeValueInfo } from '../dist/onnx/graph-patch.js'
import { WireWriter, concatBytes } from '../dist/onnx/wire.js'

/** CLIP-L/14 at 336 pixels, as LLaVA-1.5 uses it: 24 x 24 patches and CLS, 16 heads of 64. */
export const clipLarge336 = { image: 336, patch: 14, width: 1024, heads: 16, hidden: 4096, layers: 23, projected: 4096 }
/** CLIP-B/16 at 224 pixels: some 344 MB of float32 weights. */
export const clipBase = { image: 224, patch: 16, width: 768, heads: 12, hidden: 3072, layers: 12, projected: 768 }

/**
 * @param attention 'softmax' (MatMul, Softmax, MatMul), 'mha' (com.microsoft.MultiHeadAttention) or 'attention' (ai.onnx, opset 23)
 * @param shareWeights one set of weights for all layers: the same work in a smaller file
 * @param external name of a file that the weights are said to be in; none are written
 */
export function visionTransformer(
  shape,
  { attention = 'softmax', shareWeights = false, external = undefined, seed = 1 } = {},
) {
  const model = new Writer(seed, shareWeights, external)
  const { image, patch, width, layers, projected } = shape
  const side = Math.floor(image / patch)
  const pixels = model.input('pixel_values', ['batch', 3, image, image])
  const conv = model.node('Conv', [pixels, model.weight('patch', [width, 3, patch, patch])], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  })
  const patches = model.node('Transpose', [model.node('Reshape', [conv, model.integers([0, width, -1])])], {
    perm: [0, 2, 1],
  })
  const batch = model.node('Slice', [model.node('Shape', [pixels]), model.integers([0]), model.integers([1])])
  const clsShape = model.node('Concat', [batch, model.integers([1, width])], { axis: 0 })
  const cls = model.node('Expand', [model.weight('cls', [width]), clsShape])
  let x = model.node('Concat', [cls, patches], { axis: 1 })
  x = model.node('Add', [x, model.weight('position', [side * side + 1, width])])
  x = model.layerNorm(x, width)
  for (let layer = 0; layer < layers; layer++) x = block(model, x, layer, shape, attention, side * side + 1)
  const kept = model.node('Slice', [
    x,
    model.integers([1]),
    model.integers([2 ** 31]),
    model.integers([1]),
    model.integers([1]),
  ])
  const inner = model.node('MatMul', [kept, model.weight('projector1', [width, projected])])
  const activated = model.node('Mul', [inner, model.node('Sigmoid', [inner])])
  const out = model.node('MatMul', [activated, model.weight('projector2', [projected, projected])])
  model.output('image_features', out, ['batch', side * side, projected])
  return model.finish(attention === 'attention' ? 23 : 17)
}

function block(model, x, layer, { width, heads, hidden }, attention, tokens) {
  const normed = model.layerNorm(x, width)
  const project = (name) =>
    model.node('Add', [
      model.node('MatMul', [normed, model.weight(`${name}.${layer}`, [width, width])]),
      model.weight(`${name}.b.${layer}`, [width]),
    ])
  const [q, k, v] = ['q', 'k', 'v'].map(project)
  const attended = attend(model, { q, k, v, heads, width, tokens }, attention)
  const out = model.node('MatMul', [attended, model.weight(`o.${layer}`, [width, width])])
  const sum = model.node('Add', [x, out])
  const wide = model.node('MatMul', [model.layerNorm(sum, width), model.weight(`up.${layer}`, [width, hidden])])
  const gelu = model.node('Mul', [wide, model.node('Sigmoid', [model.node('Mul', [wide, model.scalar(1.702)])])])
  return model.node('Add', [sum, model.node('MatMul', [gelu, model.weight(`down.${layer}`, [hidden, width])])])
}

function attend(model, { q, k, v, heads, width, tokens }, attention) {
  if (attention === 'mha') return model.node('MultiHeadAttention', [q, k, v], { num_heads: heads }, 'com.microsoft')
  const split = (value, perm) =>
    model.node('Transpose', [model.node('Reshape', [value, model.integers([0, tokens, heads, width / heads])])], {
      perm,
    })
  const merge = (value) =>
    model.node('Reshape', [
      model.node('Transpose', [value], { perm: [0, 2, 1, 3] }),
      model.integers([0, tokens, width]),
    ])
  if (attention === 'attention')
    return merge(
      model.node(
        'Attention',
        [q, k, v].map((value) => split(value, [0, 2, 1, 3])),
      ),
    )
  const scaled = model.node('Mul', [split(q, [0, 2, 1, 3]), model.scalar((width / heads) ** -0.5)])
  const probabilities = model.node('Softmax', [model.node('MatMul', [scaled, split(k, [0, 2, 3, 1])])], { axis: -1 })
  return merge(model.node('MatMul', [probabilities, split(v, [0, 2, 1, 3])]))
}

class Writer {
  nodes = []
  tensors = new Map()
  infos = []
  count = 0

  constructor(seed, shareWeights, external) {
    this.state = seed
    this.shareWeights = shareWeights
    this.external = external
  }

  /** Small random numbers, as training leaves them: attention of large ones would be a single peak. */
  weight(name, dims) {
    const key = this.shareWeights ? name.replace(/\.\d+$/, '') : name
    if (!this.tensors.has(key)) this.tensors.set(key, this.tensor(key, dims))
    return key
  }

  tensor(name, dims) {
    const header = new WireWriter()
    for (const dim of dims) header.varint(1, dim)
    header.varint(2, 1).text(8, name)
    if (this.external) {
      header.message(13, (entry) => entry.text(1, 'location').text(2, this.external))
      return header.varint(14, 1).finish()
    }
    const values = new Float32Array(dims.reduce((a, b) => a * b, 1))
    for (let i = 0; i < values.length; i++) {
      this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0
      values[i] = (this.state / 2 ** 31 - 1) * 0.03
    }
    return header.bytes(9, new Uint8Array(values.buffer)).finish()
  }

  constant(dims, type, raw) {
    const name = `c${this.count++}`
    const tensor = new WireWriter()
    for (const dim of dims) tensor.varint(1, dim)
    this.tensors.set(name, tensor.varint(2, type).text(8, name).bytes(9, raw).finish())
    return name
  }

  integers(values) {
    return this.constant([values.length], 7, new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer))
  }

  scalar(value) {
    return this.constant([], 1, new Uint8Array(Float32Array.of(value).buffer))
  }

  layerNorm(x, width) {
    const ones = this.constant([width], 1, new Uint8Array(new Float32Array(width).fill(1).buffer))
    return this.node('LayerNormalization', [x, ones], { axis: -1 })
  }

  node(opType, inputs, attributes = {}, domain = '') {
    const output = `v${this.count++}`
    const node = new WireWriter().raw(encodeNode(opType, inputs, attributes, [output]))
    if (domain) node.text(7, domain)
    this.nodes.push(node.finish())
    return output
  }

  input(name, dims) {
    this.infos.push([11, name, dims])
    return name
  }

  output(name, value, dims) {
    this.nodes.push(encodeNode('Identity', [value], {}, [name]))
    this.infos.push([12, name, dims])
  }

  finish(opset) {
    const graph = new WireWriter()
    for (const node of this.nodes) graph.bytes(1, node)
    graph.text(2, 'vit')
    for (const tensor of this.tensors.values()) graph.bytes(5, tensor)
    for (const [field, name, dims] of this.infos) graph.message(field, (info) => encodeValueInfo(info, name, 1, dims))
    const head = new WireWriter().varint(1, opset >= 23 ? 11 : 9)
    head.message(8, (o) => o.text(1, '').varint(2, opset)).message(8, (o) => o.text(1, 'com.microsoft').varint(2, 1))
    return concatBytes([head.finish(), new WireWriter().bytes(7, graph.finish()).finish()])
  }
}
