import { intAttribute } from './attributes.js'
import type { Graph } from './graph.js'
import type { OnnxNode } from './model-reader.js'
import { structural, tokenwise } from './operators.js'
import { axisOf } from './shape-arithmetic.js'
import type { Shapes } from './shapes.js'
import { projectionInputs, type AttentionSite } from './sites.js'

/** Tokens that the encoder itself adds around the patches. */
export interface AddedTokens {
  /** CLS and register tokens in front; null when there are some but their number cannot be told. */
  readonly prefix: number | null
  /** Tokens behind the patches. */
  readonly suffix: number | null
}

/** Finds CLS and register tokens: what the trunk's Concat nodes put beside the patches and does not depend on the image. */
export function findAddedTokens(graph: Graph, shapes: Shapes, first: AttentionSite): AddedTokens {
  let prefix: number | null = 0
  let suffix: number | null = 0
  for (const node of trunkConcats(graph, shapes, first)) {
    const split = node.inputs.findIndex((name) => graph.contentDependent.has(name))
    prefix = plus(prefix, lengthOf(graph, shapes, node, node.inputs.slice(0, split)))
    suffix = plus(suffix, lengthOf(graph, shapes, node, node.inputs.slice(split + 1)))
  }
  return { prefix, suffix }
}

/** The Conv that cuts the image into patches, and whether it has a bias (CLIP's has none). */
export function findPatchConv(graph: Graph): { node: OnnxNode; hasBias: boolean } | undefined {
  const node = graph.order.find((candidate) => /^Conv(Integer)?$/.test(candidate.opType))
  return node && { node, hasBias: Boolean(node.opType === 'Conv' && node.inputs[2]) || addsBias(graph, node) }
}

/** Quantised convolutions add their bias two steps later. */
function addsBias(graph: Graph, conv: OnnxNode): boolean {
  let value = conv.outputs[0]
  for (let step = 0; step < 3 && value !== undefined && conv.opType === 'ConvInteger'; step++) {
    const next: OnnxNode | undefined = graph.consumers.get(value)?.find((node) => /^(Cast|Mul|Add)$/.test(node.opType))
    if (next?.opType === 'Add') return next.inputs.some((name) => !graph.contentDependent.has(name))
    value = next?.outputs[0]
  }
  return false
}

/** Walks from the first attention back to the patches and collects the Concats of tokens on the way. */
function trunkConcats(graph: Graph, shapes: Shapes, first: AttentionSite): OnnxNode[] {
  const open = [...projectionInputs(graph, first.query ?? first.node.inputs[0] ?? '')]
  if (first.query === undefined) open.splice(0, open.length, first.node.inputs[0] ?? '')
  const seen = new Set(open)
  const concats: OnnxNode[] = []
  for (let name = open.pop(); name !== undefined && seen.size < 4096; name = open.pop()) {
    const node = graph.producers.get(name)
    if (
      !node ||
      !(tokenwise.has(node.opType) || structural.has(node.opType) || /^(Concat|Reduce\w+)$/.test(node.opType))
    )
      continue
    if (isTokenConcat(graph, shapes, node)) concats.push(node)
    for (const input of node.inputs) {
      if (seen.has(input) || !graph.contentDependent.has(input)) continue
      seen.add(input)
      open.push(input)
    }
  }
  return concats
}

function isTokenConcat(graph: Graph, shapes: Shapes, node: OnnxNode): boolean {
  if (node.opType !== 'Concat') return false
  const content = node.inputs.filter((name) => graph.contentDependent.has(name))
  const rank = node.inputs.map((name) => shapes.of(name)?.length).find((length) => length !== undefined) ?? 3
  const axis = axisOf(intAttribute(graph.model, node, 'axis', 0), rank)
  return content.length === 1 && node.inputs.length > 1 && rank >= 2 && axis === rank - 2
}

function lengthOf(graph: Graph, shapes: Shapes, concat: OnnxNode, names: readonly string[]): number | null {
  const axis = intAttribute(graph.model, concat, 'axis', 0)
  return names.reduce<number | null>((sum, name) => plus(sum, shapes.of(name)?.at(axis) ?? null), 0)
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b
}
