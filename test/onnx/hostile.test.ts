import { describe, expect, it } from 'vitest'
import { ArgumentError, ModelError } from '../../src/errors.js'
import { inspectEncoder, tapAttention } from '../../src/onnx/index.js'
import { encodeNode, encodeValueInfo } from '../../src/onnx/graph-patch.js'
import { WireWriter } from '../../src/onnx/wire.js'
import { readModelFile } from './oracle-models.js'

type Edit = (graph: WireWriter) => void

/** A small model file written by hand: input x, output y, and whatever `edit` adds. */
function model(edit: Edit, opset = 17): Uint8Array {
  const graph = new WireWriter()
  edit(graph)
  graph.message(11, (info) => encodeValueInfo(info, 'x', 1, [1, 4]))
  graph.message(12, (info) => encodeValueInfo(info, 'y', 1, [1, 4]))
  return new WireWriter()
    .varint(1, 8)
    .message(8, (o) => o.varint(2, opset))
    .bytes(7, graph.finish())
    .finish()
}

const node =
  (op: string, inputs: string[], outputs: string[]): Edit =>
  (graph) =>
    graph.bytes(1, encodeNode(op, inputs, {}, outputs))

function weight(location: string): Edit {
  return (graph) =>
    graph.message(5, (tensor) => {
      tensor.varint(1, 4).varint(2, 1).text(8, 'w').varint(14, 1)
      tensor.message(13, (entry) => entry.text(1, 'location').text(2, location))
    })
}

const all =
  (...edits: Edit[]): Edit =>
  (graph) => {
    for (const edit of edits) edit(graph)
  }

const fine = model(node('Relu', ['x'], ['y']))

describe('files that are not what they seem', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(), /it is empty/],
    ['a PNG', Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), /not a readable ONNX file/],
    [
      'text',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:'),
      /not a readable ONNX file/,
    ],
    ['zeros', new Uint8Array(100), /field number 0/],
    [
      'no graph',
      new WireWriter()
        .varint(1, 8)
        .message(8, (o) => o.varint(2, 17))
        .finish(),
      /no graph/,
    ],
    ['no nodes', model(() => undefined), /no nodes/],
    [
      'no opset',
      new WireWriter()
        .varint(1, 8)
        .message(7, node('Relu', ['x'], ['y']))
        .finish(),
      /no opset/,
    ],
    ['a missing input', model(node('Add', ['x', 'nobody'], ['y'])), /"nobody", which nothing makes/],
    ['a missing output', model(node('Relu', ['x'], ['z'])), /nothing makes the output "y"/],
    ['a value made twice', model(all(node('Relu', ['x'], ['y']), node('Relu', ['x'], ['y']))), /"y" is made twice/],
    [
      'an input made by a node',
      model(all(node('Relu', ['y'], ['x']), node('Relu', ['x'], ['y']))),
      /input "x" is also made/,
    ],
    ['a cycle', model(all(node('Add', ['x', 'b'], ['y']), node('Relu', ['y'], ['b']))), /a cycle through/],
    ['a node that reads itself', model(node('Add', ['x', 'y'], ['y'])), /a cycle through "y"/],
    [
      'external data above',
      model(all(weight('../../etc/passwd'), node('Add', ['x', 'w'], ['y']))),
      /inside the model's own folder/,
    ],
    [
      'absolute external data',
      model(all(weight('/etc/passwd'), node('Add', ['x', 'w'], ['y']))),
      /inside the model's own folder/,
    ],
    [
      'a Windows path',
      model(all(weight('C:\\w.bin'), node('Add', ['x', 'w'], ['y']))),
      /inside the model's own folder/,
    ],
    ['a length beyond the end', Uint8Array.from([0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f]), /where 0 are left/],
    ['a negative length', Uint8Array.from([0x3a, ...new Array<number>(9).fill(0xff), 0x01]), /a field of -1 bytes/],
    ['an endless number', new Uint8Array(40).fill(0xff), /more than 64 bits/],
    ['a group', Uint8Array.from([0x3b, 0x3c]), /wire type 3/],
  ]

  it.each(cases)('%s', (_, bytes, message) => {
    expect(() => inspectEncoder(bytes)).toThrow(ModelError)
    expect(() => inspectEncoder(bytes)).toThrow(message)
    expect(() => tapAttention(bytes, { layers: [1] })).toThrow(message)
  })

  it('says one line', () => {
    for (const [, bytes] of cases) expect(catchMessage(() => inspectEncoder(bytes))).not.toContain('\n')
  })

  it('describes a model that is no encoder, and refuses to tap it', () => {
    expect(inspectEncoder(fine).problems).toEqual(['no self-attention over patches was found'])
    expect(() => tapAttention(fine, { layers: [1] })).toThrow('no self-attention over patches found in this graph')
  })

  it('refuses what would take many times its size in memory', () => {
    const empty = Uint8Array.from([0x0a, 0x00]) // a node, or a name
    const many = (count: number): Uint8Array => new Uint8Array(count * 2).map((_, i) => empty[i % 2] ?? 0)
    expect(() => inspectEncoder(model((graph) => graph.raw(many(2_000_000))))).toThrow(
      /too many nodes for a file of this size/,
    )
    expect(() => inspectEncoder(model((graph) => graph.bytes(1, many(2_000_000))))).toThrow(
      /too many parts for a file of this size/,
    )
  })

  it('walks 20,000 nested nodes without recursion', () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => node('Relu', [`v${i}`], [`v${i + 1}`])).reverse()
    const bytes = model(all(...chain, node('Relu', ['x'], ['v0']), node('Relu', ['v20000'], ['y'])))
    expect(inspectEncoder(bytes).layers).toEqual([])
  })
})

describe('a real encoder, cut and bent', () => {
  const bytes = readModelFile('tiny-llava/onnx/vision_encoder_q4.onnx')

  it('refuses every truncation', () => {
    for (let length = 0; length < bytes.length; length += 4099) {
      expect(() => inspectEncoder(bytes.subarray(0, length))).toThrow(ModelError)
    }
  })

  it('reads a view into a larger buffer', () => {
    const padded = new Uint8Array(bytes.length + 24).fill(0xff)
    padded.set(bytes, 7)
    const view = padded.subarray(7, 7 + bytes.length)
    expect(Buffer.compare(tapAttention(view, { layers: [3] }), tapAttention(bytes, { layers: [3] }))).toBe(0)
  })

  it('merges a second graph field, as protobuf does', () => {
    const extra = new WireWriter().message(7, (graph) =>
      graph.message(12, (info) => encodeValueInfo(info, 'again', 1, [null])),
    )
    const broken = Uint8Array.from([...bytes, ...extra.finish()])
    expect(() => inspectEncoder(broken)).toThrow('nothing makes the output "again"')
  })

  it('is not tapped twice', () => {
    const once = tapAttention(bytes, { layers: [3] })
    expect(() => tapAttention(once, { layers: [3] })).toThrow(/already has a value called "attention_received.3"/)
    expect(inspectEncoder(tapAttention(once, { layers: [4] })).layers).toHaveLength(11)
  })

  it.each([[[]], [[0]], [[12]], [[1.5]], [['3']], [undefined]])('layers %j: an ArgumentError', (layers) => {
    expect(() => tapAttention(bytes, { layers: layers as number[] })).toThrow(ArgumentError)
  })
})

function catchMessage(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}
