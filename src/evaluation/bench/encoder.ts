import type { RawImage } from '@huggingface/transformers'
import { runEncoder } from '../../generation/encode-images.js'
import type { PrunedModel } from '../../generation/index.js'
import {
  adapterFor,
  createSessionLike,
  modelFileName,
  readModelFile,
  tappedLayers,
  tapsFor,
  type ModelInputs,
  type ModelSource,
  type OnnxSession,
  type TappedLayers,
  type VisionLanguageModel,
} from '../../models/index.js'
import { inspectEncoder, tapAttention } from '../../onnx/index.js'
import type { BenchHost } from './host.js'
import { ratios, summarise, type Summary } from './summary.js'

/** The vision encoder as it was exported beside the same with attention taps. */
export interface EncoderResult {
  /** Milliseconds. */
  readonly plain: Summary
  readonly tapped: Summary
  /** Tapped over plain, round by round. */
  readonly ratio: Summary
  readonly layers: TappedLayers
  /** Share of the tapped encoder's time in nodes that tapping added, by the runtime's own profile: free of the machine's drift. */
  readonly addedShare?: number
  /** Memory that the first run adds to the process. */
  readonly plainBytes?: number
  readonly tappedBytes?: number
}

export interface EncoderOptions {
  /** Where the encoder's file lies, as it was given to `loadPruned`. */
  readonly source: ModelSource
  readonly session_options?: object | undefined
  readonly images: readonly RawImage[]
  readonly repeat: number
  readonly host?: BenchHost | undefined
  readonly onRun?: ((done: number, total: number) => void) | undefined
}

/**
 * Runs the encoder as exported, on a session of its own, and the model's tapped one in turn.
 *
 * @returns undefined for an encoder whose file was tapped beforehand: there is nothing to compare with.
 */
export async function benchEncoder(loaded: PrunedModel, options: EncoderOptions): Promise<EncoderResult | undefined> {
  const { source, images, repeat, host, session_options, onRun } = options
  const model = loaded.model as unknown as VisionLanguageModel
  const own = model.sessions['vision_encoder'] as OnnxSession
  const file = await readModelFile(source, modelFileName('vision_encoder', own.config?.dtype ?? 'fp32'))
  const info = inspectEncoder(file.bytes)
  const layers = tappedLayers(own)
  if (!layers) return undefined

  const externalData = file.folder ? [] : await Promise.all(info.externalData.map((path) => external(source, path)))
  const base = { ...(externalData.length > 0 && { externalData }), ...session_options }
  const create = (bytes: Uint8Array) => (extra: object) =>
    createSessionLike(own, { ...file, bytes }, { ...base, ...extra })
  const inputs = (await adapterFor(model.config).preprocess(loaded.processor, images)) as ModelInputs
  const run = (session: OnnxSession) => runEncoder(withEncoder(model, session), inputs)

  const plain = await firstRun(create(file.bytes), run, host)
  if (tappedLayers(plain.session)) {
    await plain.session.release()
    return undefined
  }
  const times: [number[], number[]] = [[], []]
  for (let round = 0; round < repeat; round++) {
    times[0].push(await timeOf(() => run(plain.session)))
    times[1].push(await timeOf(() => run(own)))
    onRun?.(round + 1, repeat)
  }
  await plain.session.release()
  // One more session at a time: an encoder of a gigabyte takes two or three of them.
  const createTapped = create(tapAttention(file.bytes, tapsFor(info, layers)))
  const tapped = await firstRun(createTapped, run, host)
  await tapped.session.release()
  const addedShare = await host?.shareOfAddedNodes?.(createTapped, run)
  return {
    plain: summarise(times[0]),
    tapped: summarise(times[1]),
    ratio: ratios(times[1], times[0]),
    layers,
    ...(addedShare !== undefined && { addedShare }),
    ...(plain.bytes !== undefined && { plainBytes: plain.bytes }),
    ...(tapped.bytes !== undefined && { tappedBytes: tapped.bytes }),
  }
}

/** The same model with another encoder session. */
function withEncoder(model: VisionLanguageModel, session: OnnxSession): VisionLanguageModel {
  const sessions = { ...model.sessions, vision_encoder: session }
  return Object.create(model, { sessions: { value: sessions } }) as VisionLanguageModel
}

/** A new session's first run, which warms it up and allocates all that later runs need. */
async function firstRun(
  create: (options: object) => Promise<OnnxSession>,
  run: (session: OnnxSession) => Promise<unknown>,
  host: BenchHost | undefined,
): Promise<{ session: OnnxSession; bytes?: number }> {
  const session = await create({})
  host?.collectGarbage?.()
  host?.resetPeak?.()
  const before = host?.residentBytes?.()
  await run(session)
  const peak = host?.peakBytes?.()
  return before === undefined || peak === undefined ? { session } : { session, bytes: Math.max(0, peak - before) }
}

async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

async function external(source: ModelSource, path: string): Promise<{ path: string; data: Uint8Array }> {
  return { path, data: (await readModelFile(source, path)).bytes }
}
