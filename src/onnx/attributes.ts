import { ModelError } from '../errors.js'
import { quote, readTensor, type OnnxModel, type OnnxNode, type Span, type TensorHeader } from './model-reader.js'
import { WireReader } from './wire.js'

/** Integers up to this count are read from tensors: shapes, axes and scalars are never longer. */
const smallTensor = 64

/** One attribute of a node, decoded on demand. */
export interface AttributeValue {
  readonly int?: number
  readonly float?: number
  readonly ints: readonly number[]
  readonly text?: string
  readonly tensor?: TensorHeader
  readonly hasGraph: boolean
}

/** The attribute of that name, or undefined. */
export function attribute(model: OnnxModel, node: OnnxNode, name: string): AttributeValue | undefined {
  for (const span of node.attributes) if (attributeName(model, span) === name) return readAttribute(model, span)
  return undefined
}

/** An integer attribute, or its default. */
export function intAttribute(model: OnnxModel, node: OnnxNode, name: string, fallback: number): number {
  return attribute(model, node, name)?.int ?? fallback
}

/** True when an attribute holds a subgraph (If, Loop, Scan). */
export function hasSubgraph(model: OnnxModel, node: OnnxNode): boolean {
  return node.attributes.some((span) => readAttribute(model, span).hasGraph)
}

function attributeName(model: OnnxModel, span: Span): string {
  const reader = new WireReader(model.bytes, span.start, span.stop)
  while (reader.next()) if (reader.field === 1 && reader.wireType === 2) return reader.text()
  return ''
}

/** AttributeProto: name 1, f 2, i 3, s 4, t 5, g 6, ints 8, graphs 11. */
function readAttribute(model: OnnxModel, span: Span): AttributeValue {
  const reader = new WireReader(model.bytes, span.start, span.stop)
  const ints: number[] = []
  const found: { -readonly [K in keyof AttributeValue]: AttributeValue[K] } = { ints, hasGraph: false }
  while (reader.next()) {
    if (reader.field === 2 && reader.wireType === 5) found.float = float32(model.bytes, reader.start)
    else if (reader.field === 3 && reader.wireType === 0) found.int = reader.value
    else if (reader.field === 4 && reader.wireType === 2) found.text = reader.text()
    else if (reader.field === 5) found.tensor = readTensor(reader.message(), { start: reader.start, stop: reader.stop })
    else if (reader.field === 6 || reader.field === 11) found.hasGraph = true
    else if (reader.field === 8) reader.pushIntegers(ints, 4096)
  }
  return found
}

/**
 * The integers of a small int32 or int64 tensor, or undefined when it is large, external or of another type.
 * TensorProto: int32_data 5, int64_data 7, raw_data 9.
 */
export function smallIntegers(model: OnnxModel, tensor: TensorHeader): number[] | undefined {
  const count = tensor.dims.reduce((product, dim) => product * dim, 1)
  const bytesEach = tensor.dataType === 7 ? 8 : tensor.dataType === 6 ? 4 : 0
  if (bytesEach === 0 || count > smallTensor || tensor.externalLocation !== undefined) return undefined
  const reader = new WireReader(model.bytes, tensor.span.start, tensor.span.stop)
  const values: number[] = []
  while (reader.next()) {
    if (reader.field === 9) values.push(...rawIntegers(model.bytes, reader.start, reader.stop, bytesEach))
    else if (reader.field === 5 || reader.field === 7) reader.pushIntegers(values, smallTensor)
  }
  if (values.length !== count)
    throw new ModelError(`weight ${quote(tensor.name)}: ${values.length} values for ${count} places`)
  return values
}

/** The value of a float32 tensor with one element, else undefined. TensorProto: float_data 4, raw_data 9. */
export function scalarFloat(model: OnnxModel, tensor: TensorHeader): number | undefined {
  if (tensor.dataType !== 1 || tensor.dims.some((dim) => dim !== 1)) return undefined
  const reader = new WireReader(model.bytes, tensor.span.start, tensor.span.stop)
  while (reader.next()) {
    if ((reader.field === 4 || reader.field === 9) && reader.stop - reader.start === 4)
      return float32(model.bytes, reader.start)
  }
  return undefined
}

function rawIntegers(bytes: Uint8Array, start: number, stop: number, bytesEach: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, stop - start)
  const count = Math.min(Math.floor(view.byteLength / bytesEach), smallTensor + 1)
  return Array.from({ length: count }, (_, i) =>
    bytesEach === 8 ? Number(view.getBigInt64(i * 8, true)) : view.getInt32(i * 4, true),
  )
}

function float32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getFloat32(0, true)
}
