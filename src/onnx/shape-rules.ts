import type { OnnxNode } from './model-reader.js'
import { arithmetic, axisOf, broadcast, openDimension, sliceLength } from './shape-arithmetic.js'
import type { Dim, Shape, ShapeState } from './shapes.js'

type Rule = (state: ShapeState, node: OnnxNode, input: Shape | undefined) => void

/** Layer norms with a skip input also return the sum, their fourth output. */
const skipNorm: Rule = (state, node, input) => {
  state.setShape(node.outputs[0], input)
  state.setShape(node.outputs[3], input)
}

/** Applies the rule of the node's operator, if there is one. Unknown operators leave their outputs unknown. */
export function inferNode(state: ShapeState, node: OnnxNode): void {
  rules.get(node.opType)?.(state, node, state.of(node.inputs[0] ?? ''))
}

const same: Rule = (state, node, input) => {
  state.setShape(node.outputs[0], input)
  state.setIntegers(node.outputs[0], state.integers(node.inputs[0] ?? ''))
}

const elementwise: Rule = (state, node) => {
  const shapes = node.inputs.map((name) => state.of(name))
  if (shapes.every((shape) => shape !== undefined)) state.setShape(node.outputs[0], shapes.reduce(broadcast))
  state.setIntegers(
    node.outputs[0],
    arithmetic(
      node.opType,
      node.inputs.map((name) => state.integers(name)),
    ),
  )
}

const matmul: Rule = (state, node, a) => {
  const b = state.of(node.inputs[1] ?? '')
  if (!a || !b || a.length < 2 || b.length < 2) return
  const transposed = (name: string, shape: Shape): Shape =>
    state.int(node, name, 0) === 1 ? [...shape.slice(0, -2), shape.at(-1) ?? null, shape.at(-2) ?? null] : shape
  const left = transposed('transA', a)
  const right = transposed('transB', b)
  state.setShape(node.outputs[0], [
    ...broadcast(left.slice(0, -2), right.slice(0, -2)),
    left.at(-2) ?? null,
    right.at(-1) ?? null,
  ])
}

const matmulNBits: Rule = (state, node, a) => {
  if (a) state.setShape(node.outputs[0], [...a.slice(0, -1), state.int(node, 'N', 0) || null])
}

const conv: Rule = (state, node, input) => {
  const weight = state.of(node.inputs[1] ?? '')
  if (!input || !weight || input.length !== weight.length) return
  const spatial = input.length - 2
  const option = (name: string, fallback: number, length: number): readonly number[] =>
    state.ints(node, name) ?? new Array<number>(length).fill(fallback)
  const strides = option('strides', 1, spatial)
  const pads = option('pads', 0, spatial * 2)
  const dilations = option('dilations', 1, spatial)
  const out = Array.from({ length: spatial }, (_, i) => {
    const [size, kernel] = [input[i + 2], weight[i + 2]]
    if (size == null || kernel == null) return null
    const span = (dilations[i] ?? 1) * (kernel - 1) + 1
    return Math.floor((size + (pads[i] ?? 0) + (pads[i + spatial] ?? 0) - span) / (strides[i] ?? 1)) + 1
  })
  state.setShape(node.outputs[0], [input[0] ?? null, weight[0] ?? null, ...out])
}

const reshape: Rule = (state, node, input) => {
  const target = state.integers(node.inputs[1] ?? '')
  if (!target) return
  const keepZero = state.int(node, 'allowzero', 0) === 1
  const dims = target.map((dim, i) => (dim === 0 && !keepZero ? (input?.[i] ?? null) : dim))
  const open = dims.indexOf(-1)
  if (open >= 0) dims[open] = openDimension(input, dims)
  state.setShape(node.outputs[0], dims)
  state.setIntegers(node.outputs[0], state.integers(node.inputs[0] ?? ''))
}

const transpose: Rule = (state, node, input) => {
  const perm = state.ints(node, 'perm') ?? input?.map((_, i) => input.length - 1 - i)
  if (perm)
    state.setShape(
      node.outputs[0],
      perm.map((axis) => input?.[axis] ?? null),
    )
}

const unsqueeze: Rule = (state, node, input) => {
  state.setIntegers(node.outputs[0], state.integers(node.inputs[0] ?? ''))
  const axes = state.axes(node, 1)
  if (!input || !axes) return
  const rank = input.length + axes.length
  const added = new Set(axes.map((axis) => axisOf(axis, rank)))
  const rest = [...input]
  state.setShape(
    node.outputs[0],
    Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : (rest.shift() ?? null))),
  )
}

const squeeze: Rule = (state, node, input) => {
  state.setIntegers(node.outputs[0], state.integers(node.inputs[0] ?? ''))
  const axes = state.axes(node, 1)
  if (!input || !axes) return
  const removed = new Set(axes.map((axis) => axisOf(axis, input.length)))
  state.setShape(
    node.outputs[0],
    input.filter((_, i) => !removed.has(i)),
  )
}

const slice: Rule = (state, node, input) => {
  const part = (name: string, index: number): readonly Dim[] | undefined =>
    state.ints(node, name) ?? state.integers(node.inputs[index] ?? '')
  const starts = part('starts', 1)
  const ends = part('ends', 2)
  const axes = part('axes', 3) ?? starts?.map((_, i) => i)
  const steps = part('steps', 4)
  if (!input) return
  const out = [...input]
  for (const [i, axis] of (axes ?? input.map((_, j) => j)).entries()) {
    const at = axis === null ? -1 : axisOf(axis, input.length)
    out[at] = at < 0 ? null : sliceLength(input[at] ?? null, starts?.[i] ?? null, ends?.[i] ?? null, steps?.[i] ?? 1)
  }
  state.setShape(node.outputs[0], out.slice(0, input.length))
  const values = state.integers(node.inputs[0] ?? '')
  if (values && starts?.[0] != null && ends?.[0] != null)
    state.setIntegers(node.outputs[0], values.slice(starts[0], ends[0]))
}

const gather: Rule = (state, node, input) => {
  const indices = state.of(node.inputs[1] ?? '')
  const axis = axisOf(state.int(node, 'axis', 0), input?.length ?? 0)
  if (input && indices) state.setShape(node.outputs[0], [...input.slice(0, axis), ...indices, ...input.slice(axis + 1)])
  const values = state.integers(node.inputs[0] ?? '')
  const picked = state.integers(node.inputs[1] ?? '')
  if (values && picked)
    state.setIntegers(
      node.outputs[0],
      picked.map((i) => (i === null ? null : (values.at(i) ?? null))),
    )
}

const gatherND: Rule = (state, node, input) => {
  const indices = state.of(node.inputs[1] ?? '')
  const depth = indices?.at(-1)
  if (!input || !indices || depth == null || state.int(node, 'batch_dims', 0) !== 0) return
  state.setShape(node.outputs[0], [...indices.slice(0, -1), ...input.slice(depth)])
}

const concat: Rule = (state, node, input) => {
  const values = node.inputs.map((name) => state.integers(name) ?? state.of(name)?.map(() => null))
  if (input?.length === 1 && node.inputs.every((name) => state.of(name)?.length === 1)) {
    const parts = node.inputs.map(
      (name, i) => state.integers(name) ?? unknownVector(state.of(name)?.[0] ?? null) ?? values[i],
    )
    if (parts.every((part) => part !== undefined)) state.setIntegers(node.outputs[0], parts.flat())
  }
  const shapes = node.inputs.map((name) => state.of(name))
  if (!input || shapes.some((shape) => shape?.length !== input.length)) return
  const axis = axisOf(state.int(node, 'axis', 0), input.length)
  const total = shapes.reduce<Dim>(
    (sum, shape) => (sum === null || shape?.[axis] == null ? null : sum + shape[axis]),
    0,
  )
  state.setShape(
    node.outputs[0],
    input.map((dim, i) => (i === axis ? total : (dim ?? shapes.find((s) => s?.[i] != null)?.[i] ?? null))),
  )
}

function unknownVector(length: Dim): readonly Dim[] | undefined {
  return length === null || length > 64 ? undefined : new Array<Dim>(length).fill(null)
}

const shape: Rule = (state, node, input) => {
  if (!input) return
  const part = input.slice(state.int(node, 'start', 0), state.int(node, 'end', input.length))
  state.setShape(node.outputs[0], [part.length])
  state.setIntegers(node.outputs[0], part)
}

const expand: Rule = (state, node, input) => {
  const target = state.integers(node.inputs[1] ?? '')
  if (target) state.setShape(node.outputs[0], input ? broadcast(input, target) : target.map(() => null))
  if (target && input) state.setIntegers(node.outputs[0], undefined)
}

const constantOfShape: Rule = (state, node) => {
  const target = state.integers(node.inputs[0] ?? '')
  if (!target) return
  state.setShape(node.outputs[0], target)
  const fill = state.fill(node)
  const [length] = target
  if (target.length === 1 && length != null && length <= 64 && fill !== undefined) {
    state.setIntegers(node.outputs[0], new Array<number>(length).fill(fill))
  }
}

const split: Rule = (state, node, input) => {
  if (!input) return
  const axis = axisOf(state.int(node, 'axis', 0), input.length)
  const sizes = state.ints(node, 'split') ?? state.integers(node.inputs[1] ?? '')
  const equal = input[axis] == null ? null : input[axis] / node.outputs.length
  for (const [i, output] of node.outputs.entries()) {
    state.setShape(
      output,
      input.map((dim, at) => (at === axis ? (sizes?.[i] ?? equal) : dim)),
    )
  }
}

const topK: Rule = (state, node, input) => {
  const axis = axisOf(state.int(node, 'axis', -1), input?.length ?? 0)
  const count = state.integers(node.inputs[1] ?? '')?.[0] ?? null
  for (const output of node.outputs)
    state.setShape(
      output,
      input?.map((dim, i) => (i === axis ? count : dim)),
    )
}

const reduce: Rule = (state, node, input) => {
  const axes = state.axes(node, 1) ?? (node.inputs[1] ? undefined : input?.map((_, i) => i))
  if (!input || !axes) return
  const gone = new Set(axes.map((axis) => axisOf(axis, input.length)))
  const keep = state.int(node, 'keepdims', 1) === 1
  state.setShape(
    node.outputs[0],
    keep ? input.map((dim, i) => (gone.has(i) ? 1 : dim)) : input.filter((_, i) => !gone.has(i)),
  )
}

const tile: Rule = (state, node, input) => {
  const repeats = state.integers(node.inputs[1] ?? '')
  if (input)
    state.setShape(
      node.outputs[0],
      input.map((dim, i) => (dim === null || repeats?.[i] == null ? null : dim * repeats[i])),
    )
}

const flatten: Rule = (state, node, input) => {
  if (!input) return
  const axis = axisOf(state.int(node, 'axis', 1), input.length)
  const size = (dims: Shape): Dim =>
    dims.reduce((product, dim) => (product === null || dim === null ? null : product * dim), 1)
  state.setShape(node.outputs[0], [size(input.slice(0, axis)), size(input.slice(axis))])
}

/** com.microsoft operators return [batch, tokens, width]; the standard one keeps the layout of its queries. */
const attention: Rule = (state, node, input) => {
  if (!input) return
  const weights = state.of(node.inputs[1] ?? '')
  const value = state.of(node.inputs[2] ?? '')
  const packed = /^Q?Attention$/.test(node.opType) && node.domain !== ''
  if (packed) state.setShape(node.outputs[0], [...input.slice(0, 2), weights?.[1] == null ? null : weights[1] / 3])
  else if (input.length === 5) state.setShape(node.outputs[0], [input[0] ?? null, input[1] ?? null, null])
  else if (node.domain !== '') state.setShape(node.outputs[0], input)
  else state.setShape(node.outputs[0], [...input.slice(0, -1), value?.at(-1) ?? null])
}

/** Numbers from a start to a limit: exporters count packed patches so. Where all three are known, so is the length. */
const range: Rule = (state, node) => {
  const [start, limit, step] = node.inputs.map((name) => state.integers(name)?.[0] ?? null)
  const isKnown = start != null && limit != null && step != null && step !== 0
  state.setShape(node.outputs[0], [isKnown ? Math.max(0, Math.ceil((limit - start) / step)) : null])
}

const rules = new Map<string, Rule>([
  ...names(
    'Identity Cast Softmax Erf Tanh Sigmoid Gelu FastGelu QuickGelu BiasGelu Relu Sqrt Exp Neg Reciprocal Clip',
    same,
  ),
  ...names('LayerNormalization SimplifiedLayerNormalization RMSNormalization', same),
  ...names('DynamicQuantizeLinear QuantizeLinear DequantizeLinear', same),
  ...names('SkipLayerNormalization SkipSimplifiedLayerNormalization', skipNorm),
  ...names(
    'Dropout Not IsNaN Cos Sin CumSum Elu LeakyRelu Softplus HardSigmoid HardSwish Swish Mish Abs Floor Round',
    same,
  ),
  ...names(
    'Add Sub Mul Div Pow Where Equal Less Greater And Or Xor Max Min Mod LessOrEqual GreaterOrEqual',
    elementwise,
  ),
  ...names('MatMul MatMulInteger FusedMatMul Gemm QLinearMatMul', matmul),
  ...names('Conv ConvInteger', conv),
  ...names('Attention QAttention MultiHeadAttention', attention),
  ...names('ReduceMean ReduceMax ReduceSum ReduceL2', reduce),
  ['MatMulNBits', matmulNBits],
  ['Reshape', reshape],
  ['Transpose', transpose],
  ['Unsqueeze', unsqueeze],
  ['Squeeze', squeeze],
  ['Slice', slice],
  ['Gather', gather],
  ['GatherND', gatherND],
  ['Concat', concat],
  ['Shape', shape],
  ['Expand', expand],
  ['ConstantOfShape', constantOfShape],
  ['Split', split],
  ['TopK', topK],
  ['Tile', tile],
  ['Flatten', flatten],
  ['Range', range],
])

function names(list: string, rule: Rule): [string, Rule][] {
  return list.split(' ').map((name) => [name, rule])
}
