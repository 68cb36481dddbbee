import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Root of the golden data and tiny models, see its README. */
export const oracleRoot = fileURLToPath(new URL('./fixtures/oracle/', import.meta.url))

export interface BinReference {
  readonly file: string
  readonly dtype: string
  readonly shape: number[]
}

/** Reads one of golden/*.json. The caller states the part of its shape that it uses. */
export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(`${oracleRoot}golden/${name}.json`, 'utf8')) as T
}

/** Reads a float32 array of golden/bin. */
export function readGoldenBin(reference: BinReference): Float32Array {
  if (reference.dtype !== 'float32') throw new Error(`dtype ${reference.dtype} is not float32`)
  const bytes = readFileSync(`${oracleRoot}golden/${reference.file}`)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
}
