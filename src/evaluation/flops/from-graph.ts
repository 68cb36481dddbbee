import { ModelError } from '../../errors.js'
import { attribute } from '../../onnx/attributes.js'
import { pathToFeatures, readEncoder, type Encoder } from '../../onnx/encoder.js'
import { describeEncoder } from '../../onnx/inspect.js'
import { buildGraph, constantTensor, type Graph } from '../../onnx/graph.js'
import { readModel, type OnnxNode } from '../../onnx/model-reader.js'
import type { FlopCount, TokenCounts } from './count.js'

/** Weights in the matrices of a model's ONNX files: what the `calflops` way of counting needs. */
export interface GraphParameters {
  readonly encoder: number
  /** 0 where the graph does not show where the encoder ends (no CLS is dropped and nothing merged): then it is in `encoder`. */
  readonly projector: number
  /** Language model with its output head. */
  readonly llm: number
  readonly prefixTokens: number
  readonly patchesPerToken: number
  /** Visual tokens of a tile, where the file fixes them. */
  readonly tokensPerTile?: number
}

/**
 * Counts the weights of linear layers in the graphs themselves; nothing is run and no weight is decoded.
 *
 * @param encoder Bytes of the vision encoder (with its projector).
 * @param decoder Bytes of the decoder.
 * @throws ModelError when a file is no usable ONNX model or has no linear layer.
 */
export function readGraphParameters(encoder: Uint8Array, decoder: Uint8Array): GraphParameters {
  const vision = readEncoder(encoder)
  const { effects, behind } = behindTheEncoder(vision)
  const all = linearLayers(vision.graph)
  const llm = total(linearLayers(buildGraph(readModel(decoder))))
  if (llm === 0) throw new ModelError('the decoder has no linear layer outside of subgraphs, so it cannot be counted')
  const projector = total(all.filter(({ node }) => behind.has(node.index)))
  return { encoder: total(all) - projector, projector, llm, ...effects }
}

/** Operations by the `calflops` way of counting from the weights that a graph has. */
export function countGraphFlops(parameters: GraphParameters, tokens: TokenCounts): FlopCount {
  const { visual, kept, text, tiles = 1 } = tokens
  const patches = visual * parameters.patchesPerToken + parameters.prefixTokens * tiles
  const encoder = 2 * parameters.encoder * patches
  const projector = 2 * parameters.projector * visual
  const llm = 2 * parameters.llm * (kept + text)
  return { encoder, projector, llm, total: encoder + projector + llm }
}

interface LinearLayer {
  readonly node: OnnxNode
  readonly weights: number
}

const matrixOperators = new Set([
  'MatMul',
  'Gemm',
  'FusedMatMul',
  'MatMulInteger',
  'DynamicQuantizeMatMul',
  'Attention',
])

function linearLayers(graph: Graph): LinearLayer[] {
  return graph.model.nodes.flatMap((node) => {
    const weights = weightsOf(graph, node)
    return weights > 0 ? [{ node, weights }] : []
  })
}

/** Elements of the constant matrix that a node multiplies by; 0 for other nodes. */
function weightsOf(graph: Graph, node: OnnxNode): number {
  if (node.opType === 'MatMulNBits') {
    const [rows, columns] = ['K', 'N'].map((name) => attribute(graph.model, node, name)?.int ?? 0)
    return (rows ?? 0) * (columns ?? 0)
  }
  if (!matrixOperators.has(node.opType)) return 0
  const dims = storedDims(graph, node.inputs[1] ?? '')
  return dims?.length === 2 ? dims.reduce((product, dim) => product * dim, 1) : 0
}

const carriers = new Set(['Transpose', 'Cast', 'Identity', 'DequantizeLinear'])

function storedDims(graph: Graph, name: string): readonly number[] | undefined {
  const stored = constantTensor(graph, name)
  if (stored) return stored.dims
  const node = graph.producers.get(name)
  return node && carriers.has(node.opType) ? storedDims(graph, node.inputs[0] ?? '') : undefined
}

/** Which nodes lie behind the step that drops CLS or merges patches: they see visual tokens, not patches. */
function behindTheEncoder(encoder: Encoder) {
  const { graph } = encoder
  const { prefixTokens, patchesPerToken, grid } = describeEncoder(encoder)
  const last = encoder.layers.at(-1)
  const steps = (last && pathToFeatures(encoder, last)?.steps) ?? []
  const isBorder = (node: OnnxNode) => (prefixTokens > 0 ? node.opType === 'Slice' : patchesPerToken > 1)
  const border = steps.find(({ kind, node }) => kind === 'structural' && isBorder(node))
  const reached = new Set(border ? [border.output] : [])
  const behind = new Set<number>()
  for (const node of graph.order) {
    if (!node.inputs.some((input) => reached.has(input))) continue
    behind.add(node.index)
    for (const output of node.outputs) reached.add(output)
  }
  const tokensPerTile = grid && grid.rows * grid.columns
  return { behind, effects: { prefixTokens, patchesPerToken, ...(tokensPerTile && { tokensPerTile }) } }
}

function total(layers: readonly LinearLayer[]): number {
  return layers.reduce((sum, { weights }) => sum + weights, 0)
}
