import { dataTypes, encodeNode, encodeValueInfo, type AttributeInput } from '../../onnx/graph-patch.js'
import { concatBytes, encodeVarint, WireWriter } from '../../onnx/wire.js'
import { lengthOf, type RandomFile, type RandomWeights } from './random-file.js'

const RUNTIME_DOMAIN = 'com.microsoft'

type Dims = readonly (number | string)[]

export interface WriterOptions {
  readonly seed: number
  /** Version of the standard operators. Default 17. */
  readonly opset?: number
  /** One set of weights for all layers: the same work in a smaller file. */
  readonly shareLayers?: boolean
}

/** Weights of more bytes than this go into a file of their own: protobuf ends at 2 GiB, and copies of the graph stay small. */
export const EXTERNAL_ABOVE = 2 ** 29

/** Writes an ONNX model with random weights, node by node. Values are named as in exported models where people look. */
export class OnnxWriter {
  private readonly nodes = new WireWriter()
  private readonly infos = new WireWriter()
  private readonly constants = new WireWriter()
  private readonly weights = new Map<string, { dims: readonly number[]; values: RandomWeights }>()
  private counter = 0

  constructor(private readonly options: WriterOptions) {}

  /** A random matrix (or any other shape) of float32. */
  weight(name: string, dims: readonly number[], deviation = 0.02): string {
    const key = this.options.shareLayers ? name.replace(/^layers\.\d+/, 'layers') : name
    const seed = Math.imul(this.options.seed, 0x9e3779b1) + this.weights.size
    if (!this.weights.has(key)) this.weights.set(key, { dims, values: { count: elementsOf(dims), deviation, seed } })
    return key
  }

  /** A vector of ones: what a norm starts with. */
  ones(name: string, length: number): string {
    return this.constant(name, dataTypes.float, [length], new Float32Array(length).fill(1))
  }

  /** An int64 vector, or a scalar when a number is given. */
  integers(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values
    const dims = typeof values === 'number' ? [] : [values.length]
    return this.constant(this.newName('integers'), dataTypes.int64, dims, BigInt64Array.from(list, BigInt))
  }

  /** A float32 vector, or a scalar when a number is given. */
  floats(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values
    const dims = typeof values === 'number' ? [] : [values.length]
    return this.constant(this.newName('floats'), dataTypes.float, dims, Float32Array.from(list))
  }

  input(name: string, dataType: number, dims: Dims): string {
    this.infos.message(11, (info) => encodeValueInfo(info, name, dataType, dims))
    return name
  }

  /** Gives a value the name of a graph output. */
  output(name: string, value: string, dims: Dims, dataType: number = dataTypes.float): void {
    this.nodes.bytes(1, encodeNode('Identity', [value], {}, [name]))
    this.infos.message(12, (info) => encodeValueInfo(info, name, dataType, dims))
  }

  /** Appends a node and returns the name of its output. */
  node(opType: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string {
    return this.nodeOf(opType, inputs, attributes, 1)[0] as string
  }

  /** Appends a node of ONNX Runtime's own operators. NodeProto: domain 7. */
  runtimeNode(opType: string, inputs: readonly string[], attributes: Record<string, AttributeInput>): string {
    const output = this.newName(opType)
    const node = new WireWriter().raw(encodeNode(opType, inputs, attributes, [output])).text(7, RUNTIME_DOMAIN)
    this.nodes.bytes(1, node.finish())
    return output
  }

  /** Appends a node with several outputs and returns their names. */
  nodeOf(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput>,
    count: number,
  ): readonly string[] {
    const outputs = Array.from({ length: count }, () => this.newName(opType))
    this.nodes.bytes(1, encodeNode(opType, inputs, attributes, outputs))
    return outputs
  }

  /** x W + b, with a bias where one is asked for. */
  linear(x: string, name: string, [from, to]: readonly [number, number], bias: boolean): string {
    const product = this.node('MatMul', [x, this.weight(`${name}.weight`, [from, to])])
    return bias ? this.node('Add', [product, this.weight(`${name}.bias`, [to])]) : product
  }

  /**
   * The finished files: the graph and, where the weights are many, a second file with them.
   *
   * @param name File name of the graph, e.g. `vision_encoder.onnx`.
   */
  finish(name: string, externalAbove = EXTERNAL_ABOVE): RandomFile[] {
    const bytes = [...this.weights.values()].reduce((sum, { values }) => sum + lengthOf(values), 0)
    return bytes > externalAbove ? this.withExternalData(name) : [this.withWeightsInside(name)]
  }

  private withWeightsInside(name: string): RandomFile {
    const tensors = [...this.weights].flatMap(([weight, { dims, values }]) => {
      const header = tensorHeader(weight, dataTypes.float, dims)
      const raw = concatBytes([encodeVarint(9 * 8 + 2), encodeVarint(lengthOf(values))])
      const length = header.length + raw.length + lengthOf(values)
      return [concatBytes([encodeVarint(5 * 8 + 2), encodeVarint(length), header, raw]), values]
    })
    const graph = [this.skeleton(), ...tensors]
    const length = graph.reduce((sum, part) => sum + lengthOf(part), 0)
    return { name, parts: [concatBytes([this.header(), encodeVarint(7 * 8 + 2), encodeVarint(length)]), ...graph] }
  }

  /** TensorProto: external_data 13 (key, value), data_location 14. */
  private withExternalData(name: string): RandomFile[] {
    const data = { name: `${name}_data`, parts: [...this.weights.values()].map(({ values }) => values) }
    const graph = new WireWriter().raw(this.skeleton())
    let offset = 0
    for (const [weight, { dims, values }] of this.weights) {
      const tensor = new WireWriter().raw(tensorHeader(weight, dataTypes.float, dims))
      for (const [key, value] of [
        ['location', data.name],
        ['offset', String(offset)],
        ['length', String(lengthOf(values))],
      ] as const)
        tensor.message(13, (entry) => entry.text(1, key).text(2, value))
      graph.bytes(5, tensor.varint(14, 1).finish())
      offset += lengthOf(values)
    }
    const model = new WireWriter().raw(this.header()).bytes(7, graph.finish())
    return [{ name, parts: [model.finish()] }, data]
  }

  /** GraphProto without its weights: node 1, name 2, initializer 5, input 11, output 12. */
  private skeleton(): Uint8Array {
    const named = new WireWriter().text(2, 'shape-model')
    return concatBytes([this.nodes.finish(), named.finish(), this.constants.finish(), this.infos.finish()])
  }

  /** ModelProto up to its graph: ir_version 1, producer_name 2, opset_import 8. */
  private header(): Uint8Array {
    const { opset = 17 } = this.options
    // The file format's version goes with the operators'.
    const header = new WireWriter().varint(1, opset >= 23 ? 11 : 8).text(2, 'hiprune shape model')
    header.message(8, (standard) => standard.text(1, '').varint(2, opset))
    return header.message(8, (runtime) => runtime.text(1, RUNTIME_DOMAIN).varint(2, 1)).finish()
  }

  private constant(name: string, dataType: number, dims: readonly number[], values: ArrayBufferView): string {
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    this.constants.bytes(
      5,
      new WireWriter()
        .raw(tensorHeader(name, dataType, dims))
        .bytes(9, raw)
        .finish(),
    )
    return name
  }

  private newName(hint: string): string {
    return `${hint}_${this.counter++}`
  }
}

/** TensorProto up to its data: dims 1, data_type 2, name 8. */
function tensorHeader(name: string, dataType: number, dims: readonly number[]): Uint8Array {
  const tensor = new WireWriter()
  for (const dim of dims) tensor.varint(1, dim)
  return tensor.varint(2, dataType).text(8, name).finish()
}

function elementsOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}
