// Corpus and mutations of fuzz-onnx.mjs: bytes, protobuf fields and names are changed, from a seed that repeats them.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ancestors, pathToFeatures, readEncoder } from '../dist/onnx/encoder.js'
import { encodeValueInfo } from '../dist/onnx/graph-patch.js'
import { WireReader, WireWriter, concatBytes, encodeVarint } from '../dist/onnx/wire.js'

const models = fileURLToPath(new URL('../test/fixtures/oracle/models/', import.meta.url))
const files = [
  'tiny-llava/variants/vision_encoder.ortfused_attention.onnx',
  'tiny-llava/variants/vision_encoder.ortfused_mha.onnx',
  'tiny-llava/variants/vision_encoder.dynamo23_attention_op.onnx',
  'tiny-llava/variants/vision_encoder.ortsaved_extended.onnx',
  'tiny-qwen2.5-vl/variants/vision_encoder.dynamo23_attention_op.onnx',
  'tiny-llava/onnx/vision_encoder_q4.onnx',
]

/** Mulberry32: small, seeded, good enough to pick bytes. */
export function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Real encoders without their weights, so that mutations meet structure and go fast: most of them cut to two layers, some whole,
 * and a few odd files.
 */
export function corpus() {
  const skeletons = files.map((name) => withoutWeights(new Uint8Array(readFileSync(models + name))))
  const short = skeletons.map((bytes) => parse(cutToTwoLayers(bytes)))
  return [...short, ...short, ...short, ...short, ...skeletons.map(parse), ...odd().map(parse)]
}

/** The graph up to the second layer's residual sum, which becomes the features. */
function cutToTwoLayers(bytes) {
  const encoder = readEncoder(bytes)
  const path = pathToFeatures(encoder, encoder.layers[1])
  const last = path.steps.find((step) => step.node.inputs.length > 1)?.output ?? path.start
  const needed = ancestors(encoder.graph, last)
  return rewrite(bytes, 7, (graph) => {
    const kept = rewrite(
      rewrite(
        rewrite(graph, 12, () => undefined),
        13,
        () => undefined,
      ),
      5,
      (tensor) => (needed.has(nameOf(tensor, 8)) ? tensor : undefined),
    )
    const nodes = rewrite(kept, 1, (node) => (needed.has(nameOf(node, 2)) ? node : undefined))
    const output = new WireWriter().message(12, (info) => encodeValueInfo(info, last, 1, ['batch', null, null]))
    return concatBytes([nodes, output.finish()])
  })
}

/** The first text of a message's field. */
function nameOf(message, field) {
  const reader = new WireReader(message)
  while (reader.next()) if (reader.field === field) return reader.text()
  return ''
}

/** Files that try one thing each: deep nesting, huge lengths, nothing at all. */
function odd() {
  const graph = new WireWriter().bytes(1, new Uint8Array()).finish()
  let nested = new Uint8Array()
  for (let depth = 0; depth < 2000; depth++)
    nested = new WireWriter().bytes(6, new WireWriter().bytes(1, nested).finish()).finish()
  const deep = new WireWriter().message(7, (g) => g.message(1, (node) => node.bytes(5, nested))).finish()
  return [
    new Uint8Array(),
    Uint8Array.of(0x3a),
    new WireWriter().bytes(7, graph).finish(),
    deep,
    new Uint8Array(5000).fill(0x0a),
  ]
}

/** TensorProto raw_data (9) of the initializers (GraphProto 5) dropped. */
function withoutWeights(bytes) {
  return rewrite(bytes, 7, (graph) =>
    rewrite(graph, 5, (tensor) => (tensor.length < 400 ? tensor : rewrite(tensor, 9, () => undefined))),
  )
}

/** Every field `field` of a message replaced by `change(payload)`; undefined drops it. */
function rewrite(bytes, field, change) {
  const parts = []
  const reader = new WireReader(bytes)
  while (reader.next()) {
    const payload =
      reader.field === field && reader.wireType === 2 ? change(bytes.subarray(reader.start, reader.stop)) : null
    if (payload === null) parts.push(bytes.subarray(reader.tagStart, reader.stop))
    else if (payload) parts.push(encodeVarint(field * 8 + 2), encodeVarint(payload.length), payload)
  }
  return concatBytes(parts)
}

/** A file with the places that mutations aim at: the graph's fields, and names by length. */
function parse(bytes) {
  const fields = []
  const names = new Map()
  let graph
  try {
    const reader = new WireReader(bytes)
    while (reader.next())
      if (reader.field === 7) graph = { lengthStart: reader.lengthStart, start: reader.start, stop: reader.stop }
    const inner = new WireReader(bytes, graph.start, graph.stop)
    while (inner.next()) {
      fields.push({ start: inner.tagStart, stop: inner.stop })
      if (inner.field === 1) collectNames(inner.message(), names)
    }
  } catch {
    // Not a model: bytes alone are mutated.
  }
  return { bytes, graph, fields, names: [...names.values()].filter((spans) => spans.length > 1) }
}

function collectNames(node, names) {
  while (node.next()) {
    if (node.wireType !== 2 || node.field > 4) continue
    const length = node.stop - node.start
    if (!names.has(length)) names.set(length, [])
    names.get(length).push(node.start)
  }
}

const pick = (list, next) => list[Math.floor(next() * list.length)]

/** One to four mutations of one file of the corpus. */
export function mutate(seeds, next) {
  const seed = pick(seeds, next)
  const count = 1 + Math.floor(next() * next() * 4)
  let bytes = next() < 0.5 && seed.fields.length > 0 ? structural(seed, next) : seed.bytes.slice()
  // Half of the files keep their wire format whole, so that the stages behind the reader meet broken graphs too.
  const from = next() < 0.5 ? changes : [rename]
  for (let i = 0; i < count; i++) bytes = pick(from, next)(bytes, next, seed, seeds)
  return bytes
}

/** Drops, repeats or moves a node or another field of the graph, with the graph's length put right. */
function structural({ bytes, graph, fields }, next) {
  const parts = fields.map(({ start, stop }) => bytes.subarray(start, stop))
  const times = 1 + Math.floor(next() * 3)
  for (let i = 0; i < times && parts.length > 1; i++) {
    const at = Math.floor(next() * parts.length)
    const kind = Math.floor(next() * 4)
    if (kind === 0) parts.splice(at, 1)
    else if (kind === 1) parts.splice(at, 0, parts[at])
    else if (kind === 2) parts.push(...parts.splice(at, 1))
    else parts.splice(Math.floor(next() * parts.length), 0, ...parts.splice(at, 1 + Math.floor(next() * 40)))
  }
  const payload = concatBytes(parts)
  return concatBytes([
    bytes.subarray(0, graph.lengthStart),
    encodeVarint(payload.length),
    payload,
    bytes.subarray(graph.stop),
  ])
}

const nasty = [0x00, 0x01, 0x0a, 0x12, 0x3a, 0x7f, 0x80, 0xfe, 0xff]

const changes = [
  function flipBit(bytes, next) {
    if (bytes.length > 0) bytes[Math.floor(next() * bytes.length)] ^= 1 << Math.floor(next() * 8)
    return bytes
  },
  function setByte(bytes, next) {
    if (bytes.length > 0) bytes[Math.floor(next() * bytes.length)] = pick(nasty, next)
    return bytes
  },
  function truncate(bytes, next) {
    return bytes.slice(0, Math.floor(next() * (bytes.length + 1)))
  },
  function insertNumber(bytes, next) {
    const at = Math.floor(next() * (bytes.length + 1))
    const number = encodeVarint(pick([0, 2 ** 31, 2 ** 32, 2 ** 53, -1, -(2 ** 40), 127, 300], next))
    return concatBytes([bytes.subarray(0, at), number, bytes.subarray(at)])
  },
  function deleteStretch(bytes, next) {
    const at = Math.floor(next() * bytes.length)
    return concatBytes([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(next() * 30))])
  },
  function repeatStretch(bytes, next) {
    const at = Math.floor(next() * bytes.length)
    const stretch = bytes.subarray(at, at + 1 + Math.floor(next() * 200))
    return concatBytes([bytes.subarray(0, at), stretch, bytes.subarray(at)])
  },
  function splice(bytes, next, seed, seeds) {
    const other = pick(seeds, next).bytes
    const at = Math.floor(next() * bytes.length)
    return concatBytes([bytes.subarray(0, at), other.subarray(Math.floor(next() * other.length))])
  },
  rename,
]

/** Names of equal length change places: cycles, values made twice, values nobody makes, other operators. */
function rename(bytes, next, seed) {
  const spans = seed.names.length > 0 ? pick(seed.names, next) : []
  const [from, to] = [pick(spans, next), pick(spans, next)]
  const index = seed.names.length > 0 ? lengthAt(seed.bytes, from) : 0
  if (from === undefined || to === undefined || to + index > bytes.length) return bytes
  bytes.set(seed.bytes.subarray(from, from + index), to)
  return bytes
}

/** Names are shorter than 128 bytes here, so that the byte in front is their length. */
function lengthAt(bytes, start) {
  return bytes[start - 1] < 128 ? bytes[start - 1] : 0
}
