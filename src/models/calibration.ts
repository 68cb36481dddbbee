import { env } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import type { EncoderInfo } from '../onnx/index.js'

/** What `hiprune calibrate` measured of an encoder; only what loading a model needs is named. */
export interface EncoderCalibration {
  readonly version: 1
  readonly encoder: {
    readonly file: string
    /** SHA-256 of the encoder's ONNX file, hexadecimal. Files with external weights are told apart by their graph only. */
    readonly sha256: string
  }
  /** 1-based layer whose attention finds the objects. */
  readonly objectLayer: number
  /** 1-based layer that produces the features: the last one in the file. */
  readonly deepLayer: number
}

/**
 * A calibration from the JSON that `hiprune calibrate` writes.
 *
 * @param value The parsed JSON or, in Node, its file name.
 * @throws ArgumentError for a file that is missing or anything that is no calibration.
 */
export async function readCalibration(value: unknown): Promise<EncoderCalibration> {
  return checkCalibration(typeof value === 'string' ? await parsedFile(value) : value)
}

/** @throws ArgumentError for a value that is no calibration. */
export function checkCalibration(value: unknown): EncoderCalibration {
  const { version, encoder, objectLayer, deepLayer } = (value ?? {}) as Partial<EncoderCalibration>
  const isLayer = (layer: unknown) => Number.isInteger(layer) && Number(layer) >= 1
  const isComplete = version === 1 && typeof encoder?.sha256 === 'string' && isLayer(objectLayer) && isLayer(deepLayer)
  if (isComplete) return value as EncoderCalibration
  throw new ArgumentError('calibration', value, "the JSON that 'hiprune calibrate' writes (version 1)")
}

async function parsedFile(name: string): Promise<unknown> {
  const file = env.useFS ? await (await import('./model-files.js')).readFirstFile([name]) : undefined
  if (!file) throw new ArgumentError('calibration', name, "a file that exists, written by 'hiprune calibrate'")
  try {
    return JSON.parse(new TextDecoder().decode(file.bytes))
  } catch {
    throw new ArgumentError('calibration', name, "the JSON that 'hiprune calibrate' writes")
  }
}

/**
 * The object layer of a calibration.
 *
 * @param bytes The encoder's file as it is stored, not tapped.
 * @throws ArgumentError when the calibration was made for another encoder.
 */
export async function calibratedLayer(
  { encoder, objectLayer, deepLayer }: EncoderCalibration,
  bytes: Uint8Array,
  info: EncoderInfo,
): Promise<number> {
  const sha256 = await encoderHash(bytes)
  if (sha256 === encoder.sha256 && deepLayer === info.deepLayer) return objectLayer
  throw new ArgumentError(
    'calibration',
    `one for encoder ${encoder.sha256.slice(0, 12)}, ${deepLayer} layers`,
    `one for this encoder, ${sha256.slice(0, 12)}, ${info.deepLayer} layers: run 'hiprune calibrate' on it`,
  )
}

/** SHA-256 of an encoder's file in hexadecimal, the key of its calibration. */
export async function encoderHash(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
