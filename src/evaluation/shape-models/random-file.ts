import { seededRandom } from '../../numeric/random.js'

/** float32 weights that are made while they are written: a model of gigabytes never is in memory. */
export interface RandomWeights {
  /** Number of elements. */
  readonly count: number
  /** Standard deviation; the numbers are uniform around 0. */
  readonly deviation: number
  readonly seed: number
}

/** A file as a list of bytes and of weights that are still to be made. */
export interface RandomFile {
  readonly name: string
  readonly parts: readonly (Uint8Array | RandomWeights)[]
}

/** Numbers that are made at a time: one mebibyte of them. */
const CHUNK = 2 ** 18

/** Bytes of a file before it is written. */
export function sizeOf({ parts }: RandomFile): number {
  return parts.reduce((sum, part) => sum + lengthOf(part), 0)
}

export function lengthOf(part: Uint8Array | RandomWeights): number {
  return part instanceof Uint8Array ? part.length : part.count * 4
}

/** The file piece by piece; a piece is only valid until the next one. Little-endian, as ONNX wants. */
export function* bytesOf({ parts }: RandomFile): Generator<Uint8Array> {
  const numbers = new Float32Array(CHUNK)
  for (const part of parts) {
    if (part instanceof Uint8Array) yield part
    else yield* weightBytes(part, numbers)
  }
}

function* weightBytes({ count, deviation, seed }: RandomWeights, numbers: Float32Array): Generator<Uint8Array> {
  const random = seededRandom(seed)
  // A uniform number has a deviation of half its range over the square root of 3.
  const range = 2 * Math.sqrt(3) * deviation
  for (let start = 0; start < count; start += numbers.length) {
    const length = Math.min(numbers.length, count - start)
    for (let i = 0; i < length; i++) numbers[i] = (random() - 0.5) * range
    yield new Uint8Array(numbers.buffer, 0, length * 4)
  }
}
