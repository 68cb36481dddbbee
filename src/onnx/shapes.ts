import { attribute, intAttribute, scalarFloat, smallIntegers } from './attributes.js'
import { constantTensor, type Graph } from './graph.js'
import type { OnnxNode, ValueInfo } from './model-reader.js'
import { limits } from './limits.js'
import { inferNode } from './shape-rules.js'

/** A length, or null when it is only known at run time. */
export type Dim = number | null
export type Shape = readonly Dim[]

/**
 * What can be told about shapes without running the graph. Exports carry few annotations, so ranks, head counts, grids
 * and merge factors are found by following the operators an encoder is made of; the rest stays undefined.
 */
export interface Shapes {
  /** Shape of a value, undefined when even the rank is unknown. */
  of(name: string): Shape | undefined
  /** Elements of a small integer value such as the target of a Reshape. */
  integers(name: string): readonly Dim[] | undefined
  /** A float32 scalar constant. */
  scalar(name: string): number | undefined
  /** Axes of a reduction, given as an attribute or as an input. */
  axes(node: OnnxNode, inputIndex?: number): readonly number[] | undefined
  /** Kernel of a pooling node. */
  kernel(node: OnnxNode): readonly number[] | undefined
  /** Axes of a Transpose in their new order. */
  permutation(node: OnnxNode): readonly number[] | undefined
}

/** Follows the graph once, in data-flow order. */
export function inferShapes(graph: Graph): Shapes {
  const state = new ShapeState(graph)
  for (const info of [...graph.model.valueInfos, ...graph.model.outputs, ...graph.inputs]) state.declare(info)
  for (const node of graph.order) inferNode(state, node)
  return state
}

/** Elements an integer value may have to be followed. */
const maxElements = 64

/** The working state that the rules of `shape-rules.ts` read and write. */
export class ShapeState implements Shapes {
  private readonly shapes = new Map<string, Shape>()
  private readonly declared = new Map<string, Shape>()
  private readonly values = new Map<string, readonly Dim[]>()
  /** Integers that the file stores, read once. */
  private readonly stored = new Map<string, readonly number[] | undefined>()

  constructor(readonly graph: Graph) {}

  of(name: string): Shape | undefined {
    return this.shapes.get(name) ?? this.declared.get(name) ?? constantTensor(this.graph, name)?.dims
  }

  integers(name: string): readonly Dim[] | undefined {
    const known = this.values.get(name)
    if (known) return known
    if (this.stored.has(name)) return this.stored.get(name)
    const tensor = constantTensor(this.graph, name)
    const values = tensor ? smallIntegers(this.graph.model, tensor) : this.inlineIntegers(name)
    this.stored.set(name, values)
    return values
  }

  scalar(name: string): number | undefined {
    const tensor = constantTensor(this.graph, name)
    return tensor && scalarFloat(this.graph.model, tensor)
  }

  kernel(node: OnnxNode): readonly number[] | undefined {
    return this.ints(node, 'kernel_shape')
  }

  permutation(node: OnnxNode): readonly number[] | undefined {
    const rank = this.of(node.inputs[0] ?? '')?.length ?? 0
    return this.ints(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
  }

  /** Records a shape; lengths that the file declares fill in what the rule could not tell. */
  setShape(name: string | undefined, shape: Shape | undefined): void {
    if (!name || !shape || shape.length > limits.rank) return
    const declared = this.declared.get(name)
    const merged = declared?.length === shape.length ? shape.map((dim, i) => dim ?? declared[i] ?? null) : shape
    this.shapes.set(name, merged)
  }

  setIntegers(name: string | undefined, values: readonly Dim[] | undefined): void {
    if (name && values && values.length <= maxElements) this.values.set(name, values)
  }

  declare(info: ValueInfo): void {
    if (!info.dims) return
    this.declared.set(
      info.name,
      info.dims.map((dim) => (typeof dim === 'number' && dim > 0 ? dim : null)),
    )
  }

  /** The number a ConstantOfShape writes everywhere. */
  fill(node: OnnxNode): number | undefined {
    const tensor = attribute(this.graph.model, node, 'value')?.tensor
    return tensor ? smallIntegers(this.graph.model, tensor)?.[0] : 0
  }

  int(node: OnnxNode, name: string, fallback: number): number {
    return intAttribute(this.graph.model, node, name, fallback)
  }

  ints(node: OnnxNode, name: string): readonly number[] | undefined {
    const values = attribute(this.graph.model, node, name)?.ints
    return values && values.length > 0 ? values : undefined
  }

  /** Axes given as an attribute (older opsets) or as an input (newer ones). */
  axes(node: OnnxNode, inputIndex = 1): readonly number[] | undefined {
    const values = this.ints(node, 'axes') ?? this.integers(node.inputs[inputIndex] ?? '')
    return values?.every((axis) => axis !== null) ? (values as readonly number[]) : undefined
  }

  /** Constant nodes may hold `value_int` or `value_ints` instead of a tensor. */
  private inlineIntegers(name: string): readonly number[] | undefined {
    const node = this.graph.producers.get(name)
    if (node?.opType !== 'Constant') return undefined
    const single = attribute(this.graph.model, node, 'value_int')?.int
    return single === undefined ? this.ints(node, 'value_ints') : [single]
  }
}
