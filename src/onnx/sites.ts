import { intAttribute } from './attributes.js'
import { constantTensor, operatorName, type Graph } from './graph.js'
import type { OnnxNode } from './model-reader.js'
import { beforeQuantisation, contentInputs, isLinear, isProduct } from './operators.js'
import { axisOf } from './shape-arithmetic.js'
import type { Shapes } from './shapes.js'

/** What keeps queries from seeing keys: added to the scores, or chosen by a condition. */
export interface Mask {
  readonly value: string
  /** `added`: very negative where hidden. `visible` / `hidden`: true where a key is seen / not seen. */
  readonly kind: 'added' | 'visible' | 'hidden'
}

/** Where a graph computes attention. */
export interface AttentionSite {
  /** `softmax`, or the fused operator's name such as `com.microsoft.MultiHeadAttention`. */
  readonly pattern: string
  /** The Softmax or the fused operator. */
  readonly node: OnnxNode
  /** Probabilities [..., queries, keys]; fused operators have none. */
  readonly probabilities: string | undefined
  readonly masks: readonly Mask[]
  /** Inputs of QK^T; undefined where a fused operator projects them itself. */
  readonly query: string | undefined
  readonly key: string | undefined
  /** Result, per query. */
  readonly output: string
  readonly role: 'self' | 'pooling' | 'cross'
}

/** A graph with more Softmax nodes than this is no encoder; searching around each would take minutes. */
export const maxSites = 512
/** Nodes looked at around one Softmax. Real graphs have at most six between the scores and the Softmax. */
const maxSteps = 64

const fusedOperators =
  /^(Attention|com\.microsoft\.(Attention|QAttention|MultiHeadAttention|PackedAttention|PackedMultiHeadAttention|GroupQueryAttention|DecoderMasked\w+|PagedAttention))$/

/** Finds all attention in data-flow order: layers, pooling heads and cross attention, told apart by `role`. */
export function findAttentionSites(graph: Graph, shapes: Shapes): AttentionSite[] {
  const sites: AttentionSite[] = []
  for (const node of graph.order) {
    const site = node.opType === 'Softmax' ? softmaxSite(graph, shapes, node) : fusedSite(graph, shapes, node)
    if (site && sites.length < maxSites) sites.push(site)
  }
  return sites
}

function softmaxSite(graph: Graph, shapes: Shapes, node: OnnxNode): AttentionSite | undefined {
  const input = node.inputs[0] ?? ''
  const output = node.outputs[0] ?? ''
  const rank = shapes.of(input)?.length
  const axis = intAttribute(graph.model, node, 'axis', (graph.model.opsets.get('') ?? 0) >= 13 ? -1 : 1)
  if (axis !== -1 && (rank === undefined || axisOf(axis, rank) !== rank - 1)) return undefined
  const scores = findScores(graph, input)
  const values = scores && findWeightedSum(graph, output)
  if (!scores || !values) return undefined
  const [query = '', key = ''] = scores.product.inputs
  return {
    pattern: 'softmax',
    node,
    probabilities: values.probabilities,
    masks: scores.masks,
    query,
    key,
    output: values.output,
    role: roleOf(graph, shapes, query, key),
  }
}

/** Walks from the Softmax back to QK^T; what is added or chosen on the way is a mask. */
function findScores(graph: Graph, name: string): { product: OnnxNode; masks: Mask[] } | undefined {
  const open: { name: string; masks: Mask[] }[] = [{ name, masks: [] }]
  for (let step = 0; step < maxSteps; step++) {
    const current = open.shift()
    const node = current && graph.producers.get(current.name)
    if (!current) return undefined
    if (!node) continue
    if (isProduct(node) && contentInputs(graph, node).length > 0) return { product: node, masks: current.masks }
    for (const operand of scoreOperands(graph, node)) {
      open.push({ name: operand.name, masks: operand.mask ? [...current.masks, operand.mask] : current.masks })
    }
  }
  return undefined
}

/** The inputs of a node that the scores may come through, each with the mask the node then applies. */
function scoreOperands(graph: Graph, node: OnnxNode): { name: string; mask?: Mask }[] {
  const [a = '', b = '', c = ''] = node.inputs
  if (/^(Cast|Identity|Clip|Tanh|Reshape|Div|Dropout|QuantizeLinear|DequantizeLinear)$/.test(node.opType))
    return [{ name: a }]
  if (node.opType === 'Mul') return [{ name: a }, { name: b }]
  if (node.opType === 'Add') return [masked(graph, a, b, 'added'), masked(graph, b, a, 'added')]
  if (node.opType === 'Sub') return [{ name: a }]
  if (node.opType === 'Where') return [masked(graph, b, a, 'visible'), masked(graph, c, a, 'hidden')]
  return []
}

/** Biases stored in the file (relative positions) hide nothing. */
function masked(graph: Graph, name: string, value: string, kind: Mask['kind']): { name: string; mask?: Mask } {
  return constantTensor(graph, value) ? { name } : { name, mask: { value, kind } }
}

/** Walks from the Softmax on to the product with the values. */
function findWeightedSum(graph: Graph, softmax: string): { probabilities: string; output: string } | undefined {
  const open = [{ name: softmax, probabilities: softmax }]
  for (let step = 0; step < maxSteps; step++) {
    const current = open.shift()
    if (!current) return undefined
    for (const node of graph.consumers.get(current.name) ?? []) {
      const output = node.outputs[0] ?? ''
      if (isProduct(node) && node.inputs[0] === current.name && graph.contentDependent.has(node.inputs[1] ?? '')) {
        return { probabilities: current.probabilities, output }
      }
      // Exporters replace the NaN of fully masked rows behind the Softmax: only from there on rows are numbers.
      if (node.opType === 'Where') open.push({ name: output, probabilities: output })
      else if (
        /^(Cast|Identity|Dropout|Reshape|DynamicQuantizeLinear|QuantizeLinear|DequantizeLinear)$/.test(node.opType)
      ) {
        open.push({ ...current, name: output })
      }
    }
  }
  return undefined
}

function fusedSite(graph: Graph, shapes: Shapes, node: OnnxNode): AttentionSite | undefined {
  const pattern = operatorName(node)
  const output = node.outputs[0]
  if (!fusedOperators.test(pattern) || !output) return undefined
  const separate = /MultiHeadAttention$|^Attention$|GroupQuery/.test(pattern) && Boolean(node.inputs[1])
  const query = separate ? node.inputs[0] : undefined
  const key = separate ? node.inputs[1] : undefined
  const role = query && key ? roleOf(graph, shapes, query, key) : 'self'
  return { pattern, node, probabilities: undefined, masks: [], query, key, output, role }
}

/** Self-attention projects queries and keys from one and the same value; a pooling head asks with a learned query. */
function roleOf(graph: Graph, shapes: Shapes, query: string, key: string): AttentionSite['role'] {
  const length = shapes.of(query)?.at(-2)
  if (length === 1 || !graph.contentDependent.has(query)) return 'pooling'
  const from = projectionInputs(graph, query)
  return [...projectionInputs(graph, key)].some((name) => from.has(name)) ? 'self' : 'cross'
}

/** The values that the nearest linear layers behind `name` read. */
export function projectionInputs(graph: Graph, name: string): Set<string> {
  const found = new Set<string>()
  const seen = new Set([name])
  const open = [name]
  for (let current = open.pop(); current !== undefined && seen.size < 4096; current = open.pop()) {
    const node = graph.producers.get(current)
    if (!node || /^(Conv|ConvInteger)$/.test(node.opType)) found.add(current)
    else if (isLinear(graph, node))
      for (const input of contentInputs(graph, node)) found.add(beforeQuantisation(graph, input))
    else if (node.opType === 'DynamicQuantizeLinear') found.add(beforeQuantisation(graph, current))
    else {
      for (const input of node.inputs) {
        if (!graph.contentDependent.has(input) || seen.has(input)) continue
        seen.add(input)
        open.push(input)
      }
    }
  }
  return found
}
