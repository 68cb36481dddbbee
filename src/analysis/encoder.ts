import type { RawImage, Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { Region } from '../image/index.js'
import type { OnnxSession, OrtTensor } from '../models/index.js'
import { checkReceivedAttention, tapAttention, type EncoderInfo } from '../onnx/index.js'
import type { PatchGrid } from '../pruning/index.js'
import { layerChunks } from './chunks.js'
import type { TokenEncoder } from './token-features.js'

/** One image as all layers of an encoder see it. */
export interface EncodedLayers {
  readonly grid: PatchGrid
  readonly numTokens: number
  /** The part of the image that the encoder sees, in its pixels. */
  readonly region: Region
  /** Row-major `[N, D]`: the features that the encoder returns, without CLS and register tokens. */
  readonly features: Float32Array
  /** Attention received in layer 1, 2, ..., each `[N]`. */
  readonly received: readonly Float32Array[]
}

/** An image as the encoder takes it. */
export interface PreparedImage {
  readonly feeds: Readonly<Record<string, Tensor>>
  readonly grid: PatchGrid
  readonly region: Region
}

/** An encoder that returns the attention of all its layers. */
export interface LayerEncoder {
  readonly info: EncoderInfo
  /** Runs of the encoder that one image takes; more than one where memory asks for it. Known after the first image. */
  readonly runsPerImage: number
  /** Images that should be given at once, so that sessions that are made anew for each run pay. */
  readonly blockSize: number
  encode(images: readonly RawImage[]): Promise<EncodedLayers[]>
  release(): Promise<void>
}

export interface LayerEncoderParts {
  readonly encoder: TokenEncoder
  readonly prepare: (image: RawImage) => Promise<PreparedImage>
  readonly createSession: (bytes: Uint8Array) => Promise<OnnxSession>
  /** Bytes that attention maps may take in one run. Default 1 GiB. */
  readonly tapMemory?: number
}

const RECEIVED = 'attention_received.'
const BLOCK = 16
const TAP_MEMORY = 2 ** 30

/** Taps every layer of an encoder. Sessions are made when the first image comes. */
export function createLayerEncoder(parts: LayerEncoderParts): LayerEncoder {
  return new ChunkedEncoder(parts)
}

class ChunkedEncoder implements LayerEncoder {
  readonly info: EncoderInfo
  private chunks: readonly number[][] = [[]]
  /** Tokens that the chunks were planned for. */
  private tokens = 0
  /** The session of an encoder that runs in one piece. */
  private kept: OnnxSession | undefined

  constructor(private readonly parts: LayerEncoderParts) {
    this.info = parts.encoder.info
  }

  get runsPerImage(): number {
    return this.chunks.length
  }

  get blockSize(): number {
    return this.chunks.length > 1 ? BLOCK : 1
  }

  async encode(images: readonly RawImage[]): Promise<EncodedLayers[]> {
    const prepared: PreparedImage[] = []
    for (const image of images) prepared.push(await this.parts.prepare(image))
    await this.planFor(prepared)
    const merged = prepared.map((): Record<string, OrtTensor> => ({}))
    for (const layers of this.chunks) {
      const outputs = await this.run(layers, prepared)
      outputs.forEach((output, i) => Object.assign(merged[i] as object, output))
    }
    return prepared.map((image, i) => layersOf(this.parts.encoder, image, merged[i] as Record<string, OrtTensor>))
  }

  async release(): Promise<void> {
    await this.kept?.release()
    this.kept = undefined
  }

  /** Encoders of any resolution may meet a larger image than before, whose maps need smaller chunks. */
  private async planFor(images: readonly PreparedImage[]): Promise<void> {
    const tokens = Math.max(...images.map((image) => attendingTokens(this.info, image)))
    if (tokens <= this.tokens) return
    this.tokens = tokens
    this.chunks = layerChunks(this.info, tokens, this.parts.tapMemory ?? TAP_MEMORY)
    if (this.chunks.length > 1) await this.release()
  }

  private async run(layers: readonly number[], images: readonly PreparedImage[]): Promise<Record<string, OrtTensor>[]> {
    const { encoder, createSession } = this.parts
    const session = this.kept ?? (await createSession(tapAttention(encoder.bytes, { layers })))
    if (this.chunks.length === 1) this.kept = session
    const outputs: Record<string, OrtTensor>[] = []
    for (const { feeds } of images) outputs.push(copied(await session.run(pick(feeds, session, this.info))))
    if (!this.kept) await session.release()
    return outputs
  }
}

function attendingTokens(info: EncoderInfo, { grid }: PreparedImage): number {
  return grid.rows * grid.columns * info.patchesPerToken + info.prefixTokens
}

/** Scores are small; copies let the runtime's buffers go. */
function copied(outputs: Record<string, OrtTensor>): Record<string, OrtTensor> {
  const entries = Object.entries(outputs).map(([name, { dims, type, data }]) => {
    return [name, { dims, type, data: data instanceof Float32Array ? data.slice() : data }] as const
  })
  return Object.fromEntries(entries)
}

/** The feeds that the session asks for. Qwen2-VL and Qwen2.5-VL name the same grid differently. */
function pick(feeds: PreparedImage['feeds'], session: OnnxSession, info: EncoderInfo): Record<string, unknown> {
  return Object.fromEntries(
    session.inputNames.map((name) => {
      const tensor = feeds[name] ?? (name === 'grid_thw' ? feeds['image_grid_thw'] : undefined)
      if (!tensor) {
        const wanted = info.inputs.map((input) => input.name).join(', ')
        throw new ModelError(
          `this encoder takes ${wanted}; ${name} is not known: study it as part of its model with --model`,
        )
      }
      return [name, (tensor as unknown as { ort_tensor: unknown }).ort_tensor]
    }),
  )
}

function layersOf(encoder: TokenEncoder, image: PreparedImage, outputs: Record<string, OrtTensor>): EncodedLayers {
  const { info } = encoder
  checkReceivedAttention(outputs, info.patchesPerToken)
  const received = info.layers.map(({ layer }) => outputs[RECEIVED + layer]?.data as Float32Array)
  const numTokens = image.grid.rows * image.grid.columns
  const scores = received[0]?.length ?? 0
  if (scores !== numTokens) {
    throw new ModelError(
      `the encoder returned ${scores} attention scores, expected one for each of ${image.grid.rows} x ${image.grid.columns} tokens`,
    )
  }
  return { ...image, numTokens, received, features: patchRows(outputs[encoder.features] as OrtTensor, numTokens) }
}

/** The last N rows: CLS and register tokens stand in front. */
function patchRows({ dims, data }: OrtTensor, numTokens: number): Float32Array {
  const width = dims.at(-1) as number
  const rows = data.length / width
  if (!(data instanceof Float32Array) || rows < numTokens || dims.slice(0, -2).some((dim) => dim !== 1)) {
    throw new ModelError(`the encoder returned features [${dims.join(', ')}], expected ${numTokens} rows for one image`)
  }
  return data.subarray(data.length - numTokens * width)
}
