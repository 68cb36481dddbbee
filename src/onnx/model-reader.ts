import { ModelError } from '../errors.js'
import { Allowance, limits } from './limits.js'
import { WireReader } from './wire.js'

/** Part of the file, as byte offsets: `stop` is one past the end. */
export interface Span {
  readonly start: number
  readonly stop: number
}

/** A tensor stored in the file: its header only. The data is never read unless it is a handful of integers. */
export interface TensorHeader {
  readonly name: string
  readonly dims: readonly number[]
  /** ONNX TensorProto.DataType: 1 float32, 7 int64, 10 float16, 16 bfloat16, ... */
  readonly dataType: number
  /** The whole TensorProto message. */
  readonly span: Span
  /** Where the weights are when they are outside the file. */
  readonly externalLocation?: string
}

/** A dimension: a length, a symbolic name, or null when nothing is known. */
export type DeclaredDim = number | string | null

/** A graph input, output or annotated value. */
export interface ValueInfo {
  readonly name: string
  /** TensorProto.DataType, 0 when absent or not a tensor. */
  readonly dataType: number
  readonly dims: readonly DeclaredDim[] | undefined
  /** The whole field in the graph, tag and length included. */
  readonly span: Span
}

/** One operator. Attributes stay in the file until asked for (`attributes.ts`). */
export interface OnnxNode {
  /** Position in the file, 0-based. */
  readonly index: number
  readonly name: string
  readonly opType: string
  /** `''` for the standard operators, else e.g. `com.microsoft`. */
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Spans of the AttributeProto messages. */
  readonly attributes: readonly Span[]
  /** The whole field in the graph, tag and length included. */
  readonly span: Span
}

/** The skeleton of a model file: everything but the weights. */
export interface OnnxModel {
  readonly bytes: Uint8Array
  readonly irVersion: number
  readonly producer: string
  /** Version of every operator domain; `''` is the standard one. */
  readonly opsets: ReadonlyMap<string, number>
  readonly nodes: readonly OnnxNode[]
  readonly initializers: ReadonlyMap<string, TensorHeader>
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly valueInfos: readonly ValueInfo[]
  /** The `graph` field that new nodes are spliced into: its length prefix and its payload. */
  readonly graphSpan: Span & { readonly lengthStart: number }
  /** More than one where a file spreads its graph over several fields. */
  readonly graphCount: number
  /** Model-local functions: nodes inside them are not looked at. */
  readonly functionCount: number
}

/** Reads the skeleton of a model; weights are skipped. @throws {ModelError} when the bytes are not a usable ONNX model. */
export function readModel(bytes: Uint8Array): OnnxModel {
  if (!(bytes instanceof Uint8Array)) throw new ModelError('not a readable ONNX file: got something that is not bytes')
  if (bytes.length === 0) throw new ModelError('not a readable ONNX file: it is empty')
  const draft = new ModelDraft(bytes)
  draft.read()
  return draft.finish()
}

class ModelDraft {
  private readonly allowance: Allowance
  irVersion = 0
  producer = ''
  functionCount = 0
  graphCount = 0
  graphSpan: OnnxModel['graphSpan'] | undefined
  readonly opsets = new Map<string, number>()
  readonly nodes: OnnxNode[] = []
  readonly initializers = new Map<string, TensorHeader>()
  readonly inputs: ValueInfo[] = []
  readonly outputs: ValueInfo[] = []
  readonly valueInfos: ValueInfo[] = []

  constructor(readonly bytes: Uint8Array) {
    this.allowance = new Allowance(bytes.length)
  }

  /** ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8, functions 25. */
  read(): void {
    const reader = new WireReader(this.bytes)
    while (reader.next()) {
      if (reader.field === 1) this.irVersion = reader.value
      else if (reader.field === 2) this.producer = asText(reader)
      else if (reader.field === 7) this.readGraph(reader)
      else if (reader.field === 8) this.readOpset(reader.message())
      else if (reader.field === 25) this.functionCount++
    }
  }

  finish(): OnnxModel {
    if (!this.graphSpan) throw new ModelError('not a readable ONNX file: no graph in it')
    if (this.nodes.length === 0) throw new ModelError('not a usable ONNX model: its graph has no nodes')
    if (!this.opsets.has(''))
      throw new ModelError('not a usable ONNX model: it declares no opset for the standard operators')
    const { bytes, irVersion, producer, functionCount, graphSpan, graphCount, opsets } = this
    const { nodes, initializers, inputs, outputs, valueInfos } = this
    return {
      bytes,
      irVersion,
      producer,
      functionCount,
      graphSpan,
      graphCount,
      opsets,
      nodes,
      initializers,
      inputs,
      outputs,
      valueInfos,
    }
  }

  private readOpset(reader: WireReader): void {
    let domain = ''
    let version = 0
    while (reader.next()) {
      if (reader.field === 1) domain = asText(reader)
      else if (reader.field === 2) version = reader.value
    }
    this.opsets.set(domain === 'ai.onnx' ? '' : domain, version)
  }

  /** GraphProto: node 1, initializer 5, input 11, output 12, value_info 13. A second graph field continues the first. */
  private readGraph(outer: WireReader): void {
    outer.expect(2)
    this.graphCount++
    this.graphSpan = { lengthStart: outer.lengthStart, start: outer.start, stop: outer.stop }
    const reader = outer.message()
    while (reader.next()) {
      if (reader.field === 1) this.addNode(reader)
      else if (reader.field === 5) this.addInitializer(reader)
      else if (reader.field === 11) this.addInfo(this.inputs, reader)
      else if (reader.field === 12) this.addInfo(this.outputs, reader)
      else if (reader.field === 13) this.addInfo(this.valueInfos, reader)
    }
  }

  private addNode(field: WireReader): void {
    this.allowance.take('nodes')
    this.nodes.push(readNode(field, this.nodes.length, this.allowance))
  }

  private addInfo(list: ValueInfo[], field: WireReader): void {
    this.allowance.take('entries')
    list.push(readValueInfo(field))
  }

  private addInitializer(outer: WireReader): void {
    const header = readTensor(outer.message(), { start: outer.start, stop: outer.stop })
    this.allowance.take('entries')
    if (this.initializers.has(header.name))
      throw new ModelError(`not a usable ONNX model: two weights are called ${quote(header.name)}`)
    this.initializers.set(header.name, header)
  }
}

/** NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7. */
function readNode(field: WireReader, index: number, allowance: Allowance): OnnxNode {
  const reader = field.message()
  const inputs: string[] = []
  const outputs: string[] = []
  const attributes: Span[] = []
  const text = { name: '', opType: '', domain: '' }
  while (reader.next()) {
    allowance.take('parts')
    if (reader.field === 1) inputs.push(asText(reader))
    else if (reader.field === 2) outputs.push(asText(reader))
    else if (reader.field === 3) text.name = asText(reader)
    else if (reader.field === 4) text.opType = asText(reader)
    else if (reader.field === 5) attributes.push(spanOf(reader))
    else if (reader.field === 7) text.domain = asText(reader)
  }
  if (text.domain === 'ai.onnx') text.domain = ''
  return { index, ...text, inputs, outputs, attributes, span: { start: field.tagStart, stop: field.stop } }
}

/** TensorProto: dims 1, data_type 2, name 8, external_data 13. Everything else is payload and is skipped. */
export function readTensor(reader: WireReader, span: Span): TensorHeader {
  const dims: number[] = []
  let name = ''
  let dataType = 0
  let externalLocation: string | undefined
  while (reader.next()) {
    if (reader.field === 1) reader.pushIntegers(dims, limits.rank)
    else if (reader.field === 2) dataType = reader.value
    else if (reader.field === 8) name = asText(reader)
    else if (reader.field === 13) externalLocation = readLocation(reader.message()) ?? externalLocation
  }
  if (dims.some((dim) => dim < 0))
    throw new ModelError(`not a usable ONNX model: weight ${quote(name)} has a negative dimension`)
  return { name, dims, dataType, span, ...(externalLocation === undefined ? {} : { externalLocation }) }
}

/** StringStringEntryProto with key `location`; a path that leaves the model's folder is refused. */
function readLocation(reader: WireReader): string | undefined {
  let key = ''
  let value = ''
  while (reader.next()) {
    if (reader.field === 1) key = asText(reader)
    else if (reader.field === 2) value = asText(reader)
  }
  if (key !== 'location') return undefined
  if (/^([/\\]|[a-zA-Z]:)|(^|[/\\])\.\.([/\\]|$)|\0/.test(value)) {
    throw new ModelError(`external data at ${quote(value)}: allowed is a path inside the model's own folder`)
  }
  return value
}

/** ValueInfoProto: name 1, type 2 -> TypeProto: tensor_type 1 -> elem_type 1, shape 2. */
function readValueInfo(field: WireReader): ValueInfo {
  const reader = field.message()
  let name = ''
  let tensor: { dataType: number; dims: DeclaredDim[] | undefined } = { dataType: 0, dims: undefined }
  while (reader.next()) {
    if (reader.field === 1) name = asText(reader)
    else if (reader.field === 2) {
      const type = reader.message()
      while (type.next()) if (type.field === 1) tensor = readTensorType(type.message())
    }
  }
  return { name, ...tensor, span: { start: field.tagStart, stop: field.stop } }
}

function readTensorType(reader: WireReader): { dataType: number; dims: DeclaredDim[] | undefined } {
  let dataType = 0
  let dims: DeclaredDim[] | undefined
  while (reader.next()) {
    if (reader.field === 1) dataType = reader.value
    else if (reader.field === 2) dims = readShape(reader.message())
  }
  return { dataType, dims }
}

function readShape(reader: WireReader): DeclaredDim[] {
  const dims: DeclaredDim[] = []
  while (reader.next()) {
    if (reader.field !== 1) continue
    let dim: DeclaredDim = null
    const inner = reader.message()
    while (inner.next()) dim = inner.field === 1 ? inner.value : inner.field === 2 ? asText(inner) : dim
    if (dims.push(dim) > limits.rank)
      throw new ModelError(`not a usable ONNX model: a value of more than ${limits.rank} dimensions`)
  }
  return dims
}

function spanOf(reader: WireReader): Span {
  reader.expect(2)
  return { start: reader.start, stop: reader.stop }
}

function asText(reader: WireReader): string {
  reader.expect(2)
  return reader.text()
}

/** A name from a file, made safe for a one-line message. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name)
}
