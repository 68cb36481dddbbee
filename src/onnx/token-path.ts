import { intAttribute } from './attributes.js'
import type { Graph } from './graph.js'
import type { OnnxNode } from './model-reader.js'
import { isLinear, structural, tokenwise } from './operators.js'
import { axisOf } from './shape-arithmetic.js'
import type { AttentionSite } from './sites.js'
import type { Shapes } from './shapes.js'

/** One step of the way that tokens take through the graph. */
export interface TokenStep {
  readonly node: OnnxNode
  readonly input: string
  readonly output: string
  /** `tokenwise` leaves tokens alone, `linear` also maps channels to others, which ends any regrouping, `structural` moves tokens. */
  readonly kind: 'tokenwise' | 'linear' | 'structural'
}

/** The way from one attention's output to the features: what happens to the order and number of tokens. */
export interface TokenPath {
  /** Value right behind the attention's output projection: [..., tokens, width]. */
  readonly start: string
  readonly steps: readonly TokenStep[]
}

/** Steps of a search through the graph, all nodes of any real encoder together. */
const maxVisits = 100_000

/**
 * Follows the tokens of an attention site to `target` along residual connections and token-wise layers, never through
 * another attention (which mixes tokens). Undefined when there is no such way.
 */
export function findTokenPath(
  graph: Graph,
  shapes: Shapes,
  site: AttentionSite,
  target: string,
): TokenPath | undefined {
  const start = behindProjection(graph, shapes, site.output)
  const steps = start === undefined ? undefined : search(graph, shapes, start, target)
  return start !== undefined && steps ? { start, steps } : undefined
}

/** The output of the first linear layer behind the attention: heads are merged there. */
function behindProjection(graph: Graph, shapes: Shapes, from: string): string | undefined {
  const steps = search(graph, shapes, from, (step) => step.kind === 'linear')
  return steps?.at(-1)?.output
}

type Goal = string | ((step: TokenStep) => boolean)

/** Breadth first: residual connections are shorter than the layers beside them. */
function search(graph: Graph, shapes: Shapes, from: string, goal: Goal): TokenStep[] | undefined {
  if (from === goal) return []
  const cameBy = new Map<string, TokenStep | null>([[from, null]])
  const open = [from]
  for (let head = 0; head < open.length && head < maxVisits; head++) {
    const name = open[head] ?? ''
    for (const step of stepsFrom(graph, shapes, name)) {
      if (cameBy.has(step.output)) continue
      cameBy.set(step.output, step)
      if (typeof goal === 'string' ? step.output === goal : goal(step)) return trail(cameBy, step.output)
      open.push(step.output)
    }
  }
  return undefined
}

function trail(cameBy: ReadonlyMap<string, TokenStep | null>, last: string): TokenStep[] {
  const steps: TokenStep[] = []
  for (let step = cameBy.get(last); step; step = cameBy.get(step.input)) steps.push(step)
  return steps.reverse()
}

function stepsFrom(graph: Graph, shapes: Shapes, input: string): TokenStep[] {
  return (graph.consumers.get(input) ?? []).flatMap((node) => {
    const kind = stepKind(graph, shapes, node, input)
    return kind ? tokenOutputs(node).map((output) => ({ node, input, output, kind })) : []
  })
}

/** Layer norms with a skip input also return the sum (their fourth output); other extra outputs are not tokens. */
function tokenOutputs(node: OnnxNode): string[] {
  const outputs = /^Skip/.test(node.opType) ? [node.outputs[0], node.outputs[3]] : [node.outputs[0]]
  return outputs.filter((name): name is string => Boolean(name))
}

function stepKind(graph: Graph, shapes: Shapes, node: OnnxNode, input: string): TokenStep['kind'] | undefined {
  if (tokenwise.has(node.opType)) return keepsRank(shapes, node, input) ? 'tokenwise' : undefined
  if (joinsChannels(graph, shapes, node)) return 'linear'
  if (node.inputs[0] !== input) return undefined
  if (isLinear(graph, node)) return 'linear'
  if (node.opType === 'Gather' && shapes.of(node.inputs[1] ?? '')?.length === 0) return undefined
  return structural.has(node.opType) ? 'structural' : undefined
}

/** Features of several depths side by side: tokens stay, their width grows as behind a linear layer. */
function joinsChannels(graph: Graph, shapes: Shapes, node: OnnxNode): boolean {
  const rank = shapes.of(node.outputs[0] ?? '')?.length
  if (node.opType !== 'Concat' || rank === undefined) return false
  return axisOf(intAttribute(graph.model, node, 'axis', 0), rank) === rank - 1
}

/** A per-channel vector (a scale, a bias) is broadcast over tokens; following it would lose them. */
function keepsRank(shapes: Shapes, node: OnnxNode, input: string): boolean {
  const before = shapes.of(input)?.length
  const after = shapes.of(node.outputs[0] ?? '')?.length
  return before === undefined || after === undefined || before === after
}
