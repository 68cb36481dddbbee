import { ModelError } from '../errors.js'
import { quote, type OnnxModel, type OnnxNode, type Span } from './model-reader.js'
import { concatBytes, encodeVarint, WireReader, WireWriter } from './wire.js'

/** TensorProto.DataType numbers that patches use. */
export const dataTypes = {
  float: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  double: 11,
  bfloat16: 16,
} as const

/** Attributes of a new node: whole numbers become ints; use {@link floatValue} for a float. */
export type AttributeInput = number | readonly number[] | { readonly float: number } | { readonly graph: Uint8Array }

/** Nodes, inputs and outputs to append to a model. Weights and existing nodes stay as they are, byte for byte. */
export class GraphPatch {
  private readonly additions = new WireWriter()
  /** Where new nodes go: the model's graph, or the body that is being written. */
  private sink = this.additions
  private readonly names = new Set<string>()
  private readonly prefix: string
  private readonly replacements: { span: Span; bytes: Uint8Array }[] = []
  private insertAt: number | undefined
  private counter = 0

  constructor(readonly model: OnnxModel) {
    this.prefix = freePrefix(model)
    for (const value of [...model.inputs, ...model.outputs]) this.names.add(value.name)
  }

  /** Version of the standard operators: some take axes as an attribute in old versions and as an input in new ones. */
  get opset(): number {
    return this.model.opsets.get('') ?? 0
  }

  /** Appends a node with one output and returns the output's name. */
  node(opType: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string {
    return this.nodeWithOutputs(opType, inputs, attributes, [this.newName(opType)])[0] ?? ''
  }

  /** Appends a node with several outputs and returns their names. */
  nodes(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput>,
    count: number,
  ): readonly string[] {
    return this.nodeWithOutputs(
      opType,
      inputs,
      attributes,
      Array.from({ length: count }, () => this.newName(opType)),
    )
  }

  nodeWithOutputs(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput>,
    outputs: readonly string[],
  ): readonly string[] {
    const [first = ''] = outputs
    const name = first.startsWith(this.prefix) ? first : this.prefix + first
    this.sink.bytes(1, encodeNode(opType, inputs, attributes, outputs, name))
    return outputs
  }

  /** Appends a copy of an existing node, its attributes byte for byte, that reads other inputs. */
  clone(node: OnnxNode, inputs: readonly string[]): string {
    const name = this.newName(node.opType)
    const copy = new WireWriter()
    for (const input of inputs) copy.text(1, input)
    copy.text(2, name).text(3, name).text(4, node.opType)
    for (const span of node.attributes) copy.bytes(5, this.model.bytes.subarray(span.start, span.stop))
    if (node.domain !== '') copy.text(7, node.domain)
    this.sink.bytes(1, copy.finish())
    return name
  }

  /** A value name that nothing in the model uses. */
  newName(hint: string): string {
    return `${this.prefix}${this.counter++}_${hint}`
  }

  /** The boolean constant true. */
  true(): string {
    return this.constant(dataTypes.bool, [], Uint8Array.of(1))
  }

  /** An int64 constant: a vector, or a scalar when a number is given. */
  integers(values: number | readonly number[]): string {
    const dims = typeof values === 'number' ? [] : [values.length]
    const list = typeof values === 'number' ? [values] : values
    const raw = new BigInt64Array(list.map((value) => BigInt(value)))
    return this.constant(dataTypes.int64, dims, new Uint8Array(raw.buffer))
  }

  /** An int64 constant matrix, row by row. */
  integerMatrix(columns: number, values: readonly number[]): string {
    const raw = new BigInt64Array(values.map((value) => BigInt(value)))
    return this.constant(dataTypes.int64, [values.length / columns, columns], new Uint8Array(raw.buffer))
  }

  /** A float64 scalar. */
  double(value: number): string {
    return this.constant(dataTypes.double, [], new Uint8Array(Float64Array.of(value).buffer))
  }

  /** A float32 constant: a vector, or a scalar when a number is given. */
  floats(values: number | readonly number[]): string {
    const dims = typeof values === 'number' ? [] : [values.length]
    const raw = Float32Array.from(typeof values === 'number' ? [values] : values)
    return this.constant(dataTypes.float, dims, new Uint8Array(raw.buffer))
  }

  /** Makes `value` a graph output called `name`, of that type and rank. */
  output(name: string, value: string, dataType: number, dims: readonly (number | string | null)[]): void {
    if (this.names.has(name)) {
      throw new ModelError(
        `the model already has a value called ${quote(name)}; start from the file as it was exported`,
      )
    }
    this.names.add(name)
    this.nodeWithOutputs('Identity', [value], {}, [name])
    this.additions.message(12, (info) => encodeValueInfo(info, name, dataType, dims))
  }

  /** Adds a graph input that the caller feeds. */
  input(name: string, dataType: number, dims: readonly (number | string | null)[]): string {
    if (this.names.has(name)) throw new ModelError(`the model already has a value called ${quote(name)}`)
    this.names.add(name)
    this.additions.message(11, (info) => encodeValueInfo(info, name, dataType, dims))
    return name
  }

  /**
   * The body of a Loop: `build` appends nodes that may read any value of the outer graph and returns the body's outputs.
   * GraphProto: node 1, name 2, input 11, output 12.
   */
  body(inputs: readonly BodyValue[], build: () => readonly BodyValue[]): { readonly graph: Uint8Array } {
    const outer = this.sink
    const body = (this.sink = new WireWriter())
    const outputs = build()
    this.sink = outer
    body.text(2, this.newName('body'))
    for (const { name, dataType, rank } of inputs)
      body.message(11, (v) => encodeValueInfo(v, name, dataType, openDims(rank)))
    for (const { name, dataType, rank } of outputs)
      body.message(12, (v) => encodeValueInfo(v, name, dataType, openDims(rank)))
    return { graph: body.finish() }
  }

  /**
   * Gives a value another name where it is made, and where the given nodes read it; the old name is then free for a new
   * value that all other readers get. Returns the new name.
   */
  rename(value: string, maker: OnnxNode, readers: readonly OnnxNode[] = []): string {
    // A name of equal length leaves the weights behind it aligned as they were: copying them takes half the time.
    const renamed = this.newName('').padEnd(value.length, '_')
    this.replace(maker.span, renameInNode(this.model, maker, 2, value, renamed))
    for (const node of readers) this.replace(node.span, renameInNode(this.model, node, 1, value, renamed))
    return renamed
  }

  /** Replaces a whole field of the graph (a node, an input or output) by another, or drops it. */
  replace(span: Span, bytes: Uint8Array): void {
    this.replacements.push({ span, bytes })
  }

  /** New nodes go behind this one, so that the nodes stay sorted when old ones read them. */
  insertBehind(node: OnnxNode): void {
    this.insertAt = node.span.stop
  }

  /** The whole model with the additions at the end of its graph: one copy, one changed length. */
  apply(): Uint8Array {
    const { bytes, graphSpan } = this.model
    if (this.model.graphCount > 1 && (this.replacements.length > 0 || this.insertAt !== undefined)) {
      throw new ModelError('the file spreads its graph over several fields; save it again with an ONNX tool')
    }
    const graph = this.graphParts()
    return concatBytes([
      bytes.subarray(0, graphSpan.lengthStart),
      encodeVarint(graph.reduce((sum, part) => sum + part.length, 0)),
      ...graph,
      bytes.subarray(graphSpan.stop),
    ])
  }

  /** The graph's payload: stretches of the old bytes, with replacements and additions between them. */
  private graphParts(): Uint8Array[] {
    const { bytes, graphSpan } = this.model
    const at = this.insertAt ?? graphSpan.stop
    const edits = [...this.replacements, { span: { start: at, stop: at }, bytes: this.additions.finish() }]
    const parts: Uint8Array[] = []
    let position = graphSpan.start
    for (const { span, bytes: added } of edits.sort(
      (a, b) => a.span.start - b.span.start || a.span.stop - b.span.stop,
    )) {
      parts.push(bytes.subarray(position, span.start), added)
      position = span.stop
    }
    return [...parts, bytes.subarray(position, graphSpan.stop)]
  }

  private constant(dataType: number, dims: readonly number[], raw: Uint8Array): string {
    const tensor = new WireWriter()
    for (const dim of dims) tensor.varint(1, dim)
    tensor.varint(2, dataType).bytes(9, raw)
    const name = this.newName('Constant')
    this.sink.message(1, (node) => {
      node.text(2, name).text(4, 'Constant')
      node.message(5, (attr) => attr.text(1, 'value').bytes(5, tensor.finish()).varint(20, 4))
    })
    return name
  }
}

/** A node's bytes with an input (field 1) or an output (field 2) renamed; everything else is copied. */
function renameInNode(model: OnnxModel, node: OnnxNode, field: 1 | 2, from: string, to: string): Uint8Array {
  const outer = new WireReader(model.bytes, node.span.start, node.span.stop)
  outer.next()
  const copy = new WireWriter()
  const reader = outer.message()
  while (reader.next()) {
    if (reader.field === field && reader.text() === from) copy.text(field, to)
    else copy.raw(model.bytes.subarray(reader.tagStart, reader.stop))
  }
  return new WireWriter().bytes(1, copy.finish()).finish()
}

/** An input or output of a Loop's body. */
export interface BodyValue {
  readonly name: string
  readonly dataType: number
  readonly rank: number
}

function openDims(rank: number): null[] {
  return new Array<null>(rank).fill(null)
}

/** NodeProto: input 1, output 2, op_type 4, attribute 5. */
export function encodeNode(
  opType: string,
  inputs: readonly string[],
  attributes: Record<string, AttributeInput>,
  outputs: readonly string[],
  name = outputs[0] ?? '',
): Uint8Array {
  const node = new WireWriter()
  for (const input of inputs) node.text(1, input)
  for (const output of outputs) node.text(2, output)
  node.text(3, name).text(4, opType)
  for (const [key, value] of Object.entries(attributes)) node.message(5, (attr) => encodeAttribute(attr, key, value))
  return node.finish()
}

/** AttributeProto: name 1, f 2, i 3, g 6, ints 8, type 20 (1 float, 2 int, 5 graph, 7 ints). */
function encodeAttribute(attr: WireWriter, name: string, value: AttributeInput): void {
  attr.text(1, name)
  if (typeof value === 'number') attr.varint(3, value).varint(20, 2)
  else if ('float' in value) attr.float(2, value.float).varint(20, 1)
  else if ('graph' in value) attr.bytes(6, value.graph).varint(20, 5)
  else {
    for (const item of value) attr.varint(8, item)
    attr.varint(20, 7)
  }
}

/** ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 | dim_param 2 } } } }. */
export function encodeValueInfo(
  info: WireWriter,
  name: string,
  dataType: number,
  dims: readonly (number | string | null)[],
): void {
  info.text(1, name).message(2, (type) =>
    type.message(1, (tensor) =>
      tensor.varint(1, dataType).message(2, (shape) => {
        for (const dim of dims) {
          shape.message(1, (d) => {
            if (typeof dim === 'number') d.varint(1, dim)
            else if (dim !== null) d.text(2, dim)
          })
        }
      }),
    ),
  )
}

/** `hiprune/`, or with a number where the model has values of that name already. */
function freePrefix(model: OnnxModel): string {
  const taken = new Set<string>()
  const note = (name: string): unknown => taken.add(/^hiprune\d*\//.exec(name)?.[0] ?? '')
  for (const node of model.nodes) node.outputs.forEach(note)
  for (const name of model.initializers.keys()) note(name)
  for (const input of model.inputs) note(input.name)
  let prefix = 'hiprune/'
  for (let i = 2; taken.has(prefix); i++) prefix = `hiprune${i}/`
  return prefix
}
