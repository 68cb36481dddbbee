import type { OnnxModel } from './model-reader.js'

const names = new Map([
  [1, 'float32'],
  [2, 'uint8'],
  [3, 'int8'],
  [6, 'int32'],
  [7, 'int64'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [16, 'bfloat16'],
])

/** `float32`, `int64`, ... for a TensorProto.DataType. */
export function dtypeName(dataType: number): string {
  return names.get(dataType) ?? `type ${dataType}`
}

/** How the weights are stored, in the words of Transformers.js. */
export function weightsDtype(model: OnnxModel): string {
  const half = mostWeights(model)
  const operators = new Set(model.nodes.map((node) => node.opType))
  if (operators.has('MatMulNBits')) return half === 'fp16' ? 'q4f16' : 'q4'
  if (['MatMulInteger', 'DynamicQuantizeLinear', 'QLinearMatMul', 'QAttention'].some((op) => operators.has(op)))
    return 'q8'
  return half
}

/** The floating point type that most weights have. */
function mostWeights(model: OnnxModel): string {
  const counts = new Map([
    [1, 0],
    [10, 0],
    [16, 0],
  ])
  for (const { dataType, dims } of model.initializers.values()) {
    const elements = dims.reduce((product, dim) => product * dim, 1)
    if (counts.has(dataType)) counts.set(dataType, (counts.get(dataType) ?? 0) + elements)
  }
  const best = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))
  return best[0] === 10 ? 'fp16' : best[0] === 16 ? 'bf16' : 'fp32'
}
