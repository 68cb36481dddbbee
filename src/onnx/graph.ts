import { ModelError } from '../errors.js'
import { attribute } from './attributes.js'
import { quote, type OnnxModel, type OnnxNode, type TensorHeader, type ValueInfo } from './model-reader.js'

/** The graph of a model with its connections: who makes a value, who reads it, what depends on the image. */
export interface Graph {
  readonly model: OnnxModel
  /** Nodes so that every one comes after the makers of its inputs; ties keep the file's order. */
  readonly order: readonly OnnxNode[]
  readonly producers: ReadonlyMap<string, OnnxNode>
  readonly consumers: ReadonlyMap<string, readonly OnnxNode[]>
  /** Inputs that a caller must feed: weights that old files list as inputs are left out. */
  readonly inputs: readonly ValueInfo[]
  /** Values that change with the *content* of an input, not merely with its shape. */
  readonly contentDependent: ReadonlySet<string>
  /** What {@link constantTensor} has found so far. */
  readonly constants: Map<string, TensorHeader | undefined>
}

/** Operators whose result depends on the shape of their input only. */
const shapeOnly = new Set(['Shape', 'Size', 'ConstantOfShape'])

/**
 * Connects the nodes of a model.
 * @throws {ModelError} for cycles, values made twice, and inputs or outputs that nobody makes.
 */
export function buildGraph(model: OnnxModel): Graph {
  const producers = collectProducers(model)
  const consumers = collectConsumers(model)
  const inputs = model.inputs.filter((input) => !model.initializers.has(input.name))
  checkNames(model, producers)
  const order = sortNodes(model, producers)
  return {
    model,
    order,
    producers,
    consumers,
    inputs,
    contentDependent: contentDependence(order, inputs),
    constants: new Map(),
  }
}

/** The stored tensor behind a name: a weight, or the value of a Constant node. */
export function constantTensor(graph: Graph, name: string): TensorHeader | undefined {
  const stored = graph.model.initializers.get(name)
  if (stored) return stored
  const node = graph.producers.get(name)
  if (node?.opType !== 'Constant') return undefined
  if (!graph.constants.has(name)) graph.constants.set(name, attribute(graph.model, node, 'value')?.tensor)
  return graph.constants.get(name)
}

/** `com.microsoft.Attention` or, for standard operators, the bare name. */
export function operatorName(node: OnnxNode): string {
  return node.domain === '' ? node.opType : `${node.domain}.${node.opType}`
}

function collectProducers(model: OnnxModel): Map<string, OnnxNode> {
  const producers = new Map<string, OnnxNode>()
  for (const node of model.nodes) {
    for (const output of node.outputs) {
      if (output === '') continue
      if (producers.has(output) || model.initializers.has(output)) {
        throw new ModelError(`not a usable ONNX model: the value ${quote(output)} is made twice`)
      }
      producers.set(output, node)
    }
  }
  return producers
}

function collectConsumers(model: OnnxModel): Map<string, OnnxNode[]> {
  const consumers = new Map<string, OnnxNode[]>()
  for (const node of model.nodes) {
    for (const input of new Set(node.inputs)) {
      const list = consumers.get(input)
      if (list) list.push(node)
      else consumers.set(input, [node])
    }
  }
  return consumers
}

function checkNames(model: OnnxModel, producers: ReadonlyMap<string, OnnxNode>): void {
  const inputs = new Set(model.inputs.map((input) => input.name))
  const known = (name: string): boolean =>
    name === '' || inputs.has(name) || producers.has(name) || model.initializers.has(name)
  for (const node of model.nodes) {
    const missing = node.inputs.find((input) => !known(input))
    if (missing !== undefined) {
      throw new ModelError(
        `not a usable ONNX model: node ${quote(node.name)} (${quote(node.opType)}) reads ${quote(missing)}, which nothing makes`,
      )
    }
    const clash = node.outputs.find((output) => inputs.has(output))
    if (clash !== undefined)
      throw new ModelError(`not a usable ONNX model: the input ${quote(clash)} is also made by a node`)
  }
  const lost = model.outputs.find((output) => output.name === '' || !known(output.name))
  if (lost) throw new ModelError(`not a usable ONNX model: nothing makes the output ${quote(lost.name)}`)
}

/** Depth-first post-order from the file's order: linear, and equal to the file's order when that is already sorted. */
function sortNodes(model: OnnxModel, producers: ReadonlyMap<string, OnnxNode>): OnnxNode[] {
  const order: OnnxNode[] = []
  const state = new Uint8Array(model.nodes.length) // 0 unseen, 1 on the stack, 2 done
  const stack: { node: OnnxNode; next: number }[] = []
  for (const root of model.nodes) {
    if (state[root.index] === 0) stack.push({ node: root, next: 0 })
    state[root.index] ||= 1
    while (stack.length > 0) visit(stack, state, producers, order)
  }
  return order
}

function visit(
  stack: { node: OnnxNode; next: number }[],
  state: Uint8Array,
  producers: ReadonlyMap<string, OnnxNode>,
  order: OnnxNode[],
): void {
  const top = stack[stack.length - 1]
  if (!top) return
  const name = top.node.inputs[top.next++]
  if (name === undefined) {
    state[top.node.index] = 2
    order.push(top.node)
    stack.pop()
    return
  }
  const producer = producers.get(name)
  if (!producer || state[producer.index] === 2) return
  if (state[producer.index] === 1) throw new ModelError(`not a usable ONNX model: a cycle through ${quote(name)}`)
  state[producer.index] = 1
  stack.push({ node: producer, next: 0 })
}

function contentDependence(order: readonly OnnxNode[], inputs: readonly ValueInfo[]): Set<string> {
  const dependent = new Set(inputs.map((input) => input.name))
  for (const node of order) {
    if (shapeOnly.has(node.opType) || !node.inputs.some((input) => dependent.has(input))) continue
    for (const output of node.outputs) if (output !== '') dependent.add(output)
  }
  return dependent
}
