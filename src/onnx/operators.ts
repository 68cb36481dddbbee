import type { Graph } from './graph.js'
import type { OnnxNode } from './model-reader.js'

/** Operators that treat every token by itself and keep tokens where they are. */
export const tokenwise: ReadonlySet<string> = new Set(
  (
    'Identity Cast Dropout Add Sub Mul Div Pow Where Erf Tanh Sigmoid Gelu FastGelu QuickGelu BiasGelu Relu Sqrt Exp Neg Clip Elu ' +
    'LeakyRelu Softplus HardSigmoid HardSwish Swish Mish LayerNormalization SimplifiedLayerNormalization RMSNormalization ' +
    'SkipLayerNormalization SkipSimplifiedLayerNormalization DynamicQuantizeLinear QuantizeLinear DequantizeLinear'
  ).split(' '),
)

/** Operators that move, drop or group tokens, data input first. */
export const structural: ReadonlySet<string> = new Set(
  'Reshape Transpose Gather GatherND Slice Squeeze Unsqueeze Flatten AveragePool SpaceToDepth DepthToSpace'.split(' '),
)

const products = new Set('MatMul FusedMatMul Gemm MatMulInteger MatMulNBits QLinearMatMul'.split(' '))

/** True for a product of two values that both stem from the image: scores, or probabilities times values. */
export function isContentProduct(graph: Graph, node: OnnxNode): boolean {
  return products.has(node.opType) && contentInputs(graph, node).length >= 2
}

/** True for a product with stored weights: every token by itself, mapped to another width. */
export function isLinear(graph: Graph, node: OnnxNode): boolean {
  return products.has(node.opType) && contentInputs(graph, node).length === 1
}

/** True for the products above, whatever they multiply. */
export function isProduct(node: OnnxNode): boolean {
  return products.has(node.opType)
}

/** The factors among a product's inputs that stem from the image; scales and zero points are not factors. */
export function contentInputs(graph: Graph, node: OnnxNode): string[] {
  const factors = node.opType === 'QLinearMatMul' ? [node.inputs[0], node.inputs[3]] : node.inputs.slice(0, 2)
  return factors.filter((name): name is string => name !== undefined && graph.contentDependent.has(name))
}

/** Undoes what quantisation puts in front of a product: the float value behind it. */
export function beforeQuantisation(graph: Graph, name: string): string {
  let current = name
  for (let step = 0; step < 8; step++) {
    const node = graph.producers.get(current)
    if (!node?.inputs[0] || !/^(Dynamic)?QuantizeLinear$|^DequantizeLinear$/.test(node.opType)) break
    current = node.inputs[0]
  }
  return current
}
