import { ModelError } from '../errors.js'

/**
 * Protobuf wire format, reading side. A model file is hostile input: every length is checked against the enclosing
 * message before it is used, nothing is copied, and payloads are skipped by their length.
 */
export class WireReader {
  /** Number of the current field. */
  field = 0
  /** Wire type of the current field: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  wireType = 0
  /** First byte of the current field, its tag included. */
  tagStart = 0
  /** First byte after the tag: where the length of a length-delimited field is written. */
  lengthStart = 0
  /** First byte of the current payload. */
  start = 0
  /** One past the last byte of the current payload. */
  stop = 0
  /** Value of a varint field, as a signed 64-bit integer (exact up to 2^53). */
  value = 0

  constructor(
    readonly bytes: Uint8Array,
    private position = 0,
    private readonly end = bytes.length,
  ) {}

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.position >= this.end) return false
    this.tagStart = this.position
    const tag = this.varint()
    this.field = Math.floor(tag / 8)
    this.wireType = tag & 7
    if (tag < 8 || tag > 0xffffffff) throw corrupt(`field number ${this.field}`, this.tagStart)
    this.lengthStart = this.position
    this.readPayload()
    return true
  }

  /** The current length-delimited payload as text. */
  text(limit = 65_536): string {
    if (this.stop - this.start > limit) throw corrupt(`a name of ${this.stop - this.start} bytes`, this.start)
    return decoder.decode(this.bytes.subarray(this.start, this.stop))
  }

  /** A reader over the current length-delimited payload. */
  message(): WireReader {
    this.expect(2)
    return new WireReader(this.bytes, this.start, this.stop)
  }

  /** Appends the integers of a repeated field, packed or not. */
  pushIntegers(into: number[], limit: number): void {
    if (this.wireType !== 2) into.push(this.value)
    else {
      const packed = new WireReader(this.bytes, this.start, this.stop)
      while (packed.position < packed.end && into.length <= limit) into.push(packed.varint())
    }
    if (into.length > limit) throw corrupt(`more than ${limit} integers`, this.start)
  }

  expect(wireType: number): void {
    if (this.wireType !== wireType) throw corrupt(`wire type ${this.wireType} in field ${this.field}`, this.tagStart)
  }

  private readPayload(): void {
    const length = this.wireType === 1 ? 8 : this.wireType === 5 ? 4 : this.wireType === 2 ? this.varint() : 0
    this.start = this.position
    if (this.wireType === 0) this.value = this.varint()
    else if (this.wireType !== 1 && this.wireType !== 2 && this.wireType !== 5) this.expect(0)
    else if (length < 0 || length > this.end - this.position) {
      throw corrupt(`a field of ${length} bytes where ${this.end - this.position} are left`, this.tagStart)
    } else this.position += length
    this.stop = this.position
  }

  private varint(): number {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) throw corrupt('an unfinished number', this.tagStart)
      const byte = this.bytes[this.position++] ?? 0
      if (shift < 28) low |= (byte & 127) << shift
      else high += (byte & 127) * 2 ** (shift - 28)
      if (byte < 128) return signed64(high % 2 ** 36, low)
    }
    throw corrupt('a number of more than 64 bits', this.tagStart)
  }
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Signed 64-bit number out of its upper 36 and lower 28 bits; taking the sign first keeps small negatives exact. */
function signed64(high: number, low: number): number {
  return (high >= 2 ** 35 ? high - 2 ** 36 : high) * 2 ** 28 + low
}

function corrupt(what: string, position: number): ModelError {
  return new ModelError(
    `not a readable ONNX file: ${what} at byte ${position}; the file is truncated, corrupted or not ONNX`,
  )
}

/** Protobuf wire format, writing side: for the few kilobytes that a patch adds. */
export class WireWriter {
  private readonly parts: Uint8Array[] = []
  private size = 0

  /** Length of what has been written, in bytes. */
  get length(): number {
    return this.size
  }

  varint(field: number, value: number | bigint): this {
    return this.raw(encodeVarint(field * 8)).raw(encodeVarint(value))
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    return this.raw(encodeVarint(field * 8 + 5)).raw(bytes)
  }

  bytes(field: number, payload: Uint8Array): this {
    return this.raw(encodeVarint(field * 8 + 2))
      .raw(encodeVarint(payload.length))
      .raw(payload)
  }

  text(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value))
  }

  message(field: number, write: (writer: WireWriter) => void): this {
    const inner = new WireWriter()
    write(inner)
    return this.bytes(field, inner.finish())
  }

  raw(part: Uint8Array): this {
    this.parts.push(part)
    this.size += part.length
    return this
  }

  finish(): Uint8Array {
    return concatBytes(this.parts)
  }
}

/** A varint as bytes; negative integers take ten, as protobuf wants. */
export function encodeVarint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Uint8Array.from(bytes)
}

/** One array out of several, allocated once. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}
