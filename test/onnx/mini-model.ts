import { encodeNode, encodeValueInfo, type AttributeInput } from '../../src/onnx/graph-patch.js'
import { concatBytes, WireReader, WireWriter } from '../../src/onnx/wire.js'

type Dims = readonly (number | string | null)[]

/** Writes small ONNX models by hand, one graph a test. */
export class MiniModel {
  private readonly graph = new WireWriter()
  private count = 0

  /** A float32 weight. */
  weight(dims: readonly number[], values: ArrayLike<number>): string {
    return this.tensor(dims, 1, new Uint8Array(Float32Array.from(values).buffer))
  }

  /** A weight in any type, from its raw bytes. */
  tensor(dims: readonly number[], dataType: number, raw: Uint8Array): string {
    const name = `w${this.count++}`
    this.graph.message(5, (tensor) => {
      for (const dim of dims) tensor.varint(1, dim)
      tensor.varint(2, dataType).text(8, name).bytes(9, raw)
    })
    return name
  }

  /** A float32 weight whose data is the start of another file. TensorProto: external_data 13, data_location 14. */
  external(dims: readonly number[], location: string): string {
    const name = `w${this.count++}`
    this.graph.message(5, (tensor) => {
      for (const dim of dims) tensor.varint(1, dim)
      tensor.varint(2, 1).text(8, name)
      tensor.message(13, (entry) => entry.text(1, 'location').text(2, location))
      tensor.varint(14, 1)
    })
    return name
  }

  integers(values: readonly number[]): string {
    return this.tensor([values.length], 7, new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer))
  }

  node(
    opType: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput> = {},
    domain = '',
  ): string {
    const output = `${opType.toLowerCase()}${this.count++}`
    const bytes = encodeNode(opType, inputs, attributes, [output])
    const withDomain = new WireWriter().raw(bytes)
    if (domain !== '') withDomain.text(7, domain)
    this.graph.bytes(1, withDomain.finish())
    return output
  }

  /** A standard operator with several outputs. */
  nodes(opType: string, inputs: readonly string[], count: number): string[] {
    const outputs = Array.from({ length: count }, () => `${opType.toLowerCase()}${this.count++}`)
    this.graph.bytes(1, encodeNode(opType, inputs, {}, outputs))
    return outputs
  }

  /** com.microsoft operators. */
  contrib(opType: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}): string {
    return this.node(opType, inputs, attributes, 'com.microsoft')
  }

  input(name: string, dims: Dims, dataType = 1): string {
    this.graph.message(11, (info) => encodeValueInfo(info, name, dataType, dims))
    return name
  }

  output(name: string, value: string, dims: Dims, dataType = 1): void {
    this.graph.bytes(1, encodeNode('Identity', [value], {}, [name]))
    this.graph.message(12, (info) => encodeValueInfo(info, name, dataType, dims))
  }

  /** @param reversed writes the graph's fields last first, as no exporter but some converter does */
  finish(opset = 17, reversed = false): Uint8Array {
    const named = new WireWriter().raw(reversed ? this.reversedFields() : this.graph.finish()).text(2, 'mini')
    return new WireWriter()
      .varint(1, opset >= 23 ? 11 : 9)
      .message(8, (o) => o.text(1, '').varint(2, opset))
      .message(8, (o) => o.text(1, 'com.microsoft').varint(2, 1))
      .bytes(7, named.finish())
      .finish()
  }

  private reversedFields(): Uint8Array {
    const bytes = this.graph.finish()
    const reader = new WireReader(bytes)
    const fields: Uint8Array[] = []
    while (reader.next()) fields.unshift(bytes.subarray(reader.tagStart, reader.stop))
    return concatBytes(fields)
  }
}

/** Repeatable numbers in [-1, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

export function randoms(count: number, seed: number): Float32Array {
  const next = seeded(seed)
  return Float32Array.from({ length: count }, next)
}
