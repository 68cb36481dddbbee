import { intAttribute } from './attributes.js'
import { constantTensor, type Graph } from './graph.js'
import { dataTypes } from './graph-patch.js'

const comparisons = /^(Equal|Less|Greater|LessOrEqual|GreaterOrEqual|Not|And|Or|Xor|IsNaN|IsInf)$/
const movers = /^(Identity|Unsqueeze|Squeeze|Reshape|Expand|Slice|Transpose|Gather|GatherND|Concat|Tile|Flatten)$/

/** True when a value holds booleans: declared so, stored so, or made by a comparison. */
export function isBoolean(graph: Graph, name: string): boolean {
  const annotated = new Map(graph.model.valueInfos.map((info) => [info.name, info.dataType]))
  let current = name
  for (let step = 0; step < 64; step++) {
    const declared = annotated.get(current) || constantTensor(graph, current)?.dataType
    if (declared) return declared === dataTypes.bool
    const node = graph.producers.get(current)
    if (!node) return graph.inputs.find((input) => input.name === current)?.dataType === dataTypes.bool
    if (node.opType === 'Cast') return intAttribute(graph.model, node, 'to', 0) === dataTypes.bool
    if (!movers.test(node.opType)) return comparisons.test(node.opType)
    current = node.inputs[0] ?? ''
  }
  return false
}
