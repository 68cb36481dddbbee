import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { EncoderInfo } from '../../src/onnx/index.js'
import { oracleRoot, readGolden, readGoldenBin, type BinReference } from '../golden.js'

/** The models of the clone, or all of them where HIPRUNE_ORACLE names the folder with `models/`. */
export const modelsRoot = join(process.env['HIPRUNE_ORACLE'] ?? oracleRoot, 'models')

/** Vision encoders below {@link modelsRoot}, as paths relative to it. */
export function visionFiles(): string[] {
  const entries = readdirSync(modelsRoot, { recursive: true, encoding: 'utf8' })
  return entries.filter((name) => /vision_(encoder|model)[^/]*\.onnx$/.test(name)).sort()
}

export function readModelFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(modelsRoot, name)))
}

/** One golden input with the scores of every layer, [layers][batch * tokens]. */
export interface GoldenScores {
  readonly feeds: Record<string, Tensor>
  readonly scores: readonly ArrayLike<number>[]
}

interface TowerGolden {
  images: { pixel_values: BinReference; scores: number[][] }[]
  batches: { pixel_values: BinReference; scores_bin: BinReference }[]
}
interface VlmGolden {
  samples: { pixel_values: BinReference; scores: BinReference }[]
}
interface QwenGolden {
  images: {
    pixel_values: BinReference
    grid_thw: number[]
    reverse_indices: number[]
    modes: { eager: { scores: number[][] } }
  }[]
}

/** The golden inputs that belong to a model file. */
export function goldenFor(file: string): GoldenScores[] {
  if (file.startsWith('tiny-qwen')) return qwenGolden()
  const tower = file.startsWith('tiny-clip') ? 'clip' : file.startsWith('tiny-siglip') ? 'siglip' : undefined
  return tower ? towerGolden(tower) : vlmGolden(`vlm_${(file.split('/')[0] ?? '').slice(5).replaceAll('-', '_')}`)
}

function towerGolden(name: string): GoldenScores[] {
  const golden = readGolden<TowerGolden>(name)
  const single = golden.images.map((image) => ({ feeds: pixels(image.pixel_values), scores: image.scores }))
  return [...single, ...golden.batches.map((batch) => withBin(batch.pixel_values, batch.scores_bin))]
}

function vlmGolden(name: string): GoldenScores[] {
  return readGolden<VlmGolden>(name).samples.map((sample) => withBin(sample.pixel_values, sample.scores))
}

/** The reference sums over queries; ours is the mean. */
function qwenGolden(): GoldenScores[] {
  return readGolden<QwenGolden>('qwen_vision').images.map((image) => {
    const queries = image.pixel_values.shape[0] ?? 1
    const grid = BigInt64Array.from(image.grid_thw.map(BigInt))
    const feeds = { ...pixels(image.pixel_values), image_grid_thw: new Tensor('int64', grid, [1, 3]) }
    return { feeds, scores: image.modes.eager.scores.map((layer) => layer.map((score) => score / queries)) }
  })
}

function withBin(pixelValues: BinReference, scoresBin: BinReference): GoldenScores {
  const flat = readGoldenBin(scoresBin)
  const perLayer = flat.length / (scoresBin.shape[0] ?? 1)
  const scores = Array.from({ length: scoresBin.shape[0] ?? 1 }, (_, i) =>
    flat.subarray(i * perLayer, (i + 1) * perLayer),
  )
  return { feeds: pixels(pixelValues), scores }
}

function pixels(reference: BinReference): Record<string, Tensor> {
  return { pixel_values: new Tensor('float32', readGoldenBin(reference), reference.shape) }
}

export function createSession(bytes: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(bytes, { intraOpNumThreads: 2, logSeverityLevel: 3 })
}

/** True when the file takes batches of any size; files exported for one image cannot run a batch. */
export function takesBatch(info: EncoderInfo, golden: GoldenScores): boolean {
  const declared = info.inputs.find((input) => input.name === 'pixel_values')?.shape[0]
  return typeof declared !== 'number' || declared === golden.feeds['pixel_values']?.dims[0]
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] ?? NaN))), 0)
}

/** The bytes of a tensor, for comparisons bit by bit. */
export function rawBytes(tensor: Tensor | undefined): Buffer {
  const data = tensor?.data as Float32Array
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
