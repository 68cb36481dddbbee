import { ArgumentError } from '../../errors.js'
import type { LoadPrunedOptions } from '../../generation/index.js'
import {
  createSessionLike,
  describeSource,
  modelFileName,
  readModelFile,
  tappedLayers,
  type OnnxSession,
  type OrtTensor,
  type TappedLayers,
  type VisionLanguageModel,
} from '../../models/index.js'
import { inspectEncoder, tapAttention } from '../../onnx/index.js'
import type { Variant } from '../variants.js'

/** The vision encoder of a run: one session that returns what all variants read. */
export interface EvaluationEncoder {
  readonly session: OnnxSession
  /** The model's own layers. */
  readonly layers: TappedLayers
  /** The session was made for this run beside the model's own. */
  readonly isExtra: boolean
}

/** What an encoder returned for one image. */
export type EncoderOutputs = Readonly<Record<string, OrtTensor>>

const RECEIVED = 'attention_received.'
const CLS = 'attention_cls.'
const KEYS = 'attention_keys.'

/**
 * The model's own tapped encoder, or a second session of the same file with more taps, where a variant reads other layers.
 *
 * @throws ArgumentError for a layer that the encoder does not have, and for attention=cls without a CLS token.
 */
export async function encoderFor(
  model: VisionLanguageModel,
  modelId: string,
  loading: LoadPrunedOptions,
  variants: readonly Variant[],
): Promise<EvaluationEncoder> {
  const own = model.sessions['vision_encoder'] as OnnxSession
  const layers = tappedLayers(own) as TappedLayers
  const wanted = variants.filter(({ objectLayer, deepLayer, attention }) => objectLayer ?? deepLayer ?? attention)
  if (wanted.length === 0) return { session: own, layers, isExtra: false }

  const { id } = await describeSource(modelId, loading)
  const file = await readModelFile(
    { ...loading, modelId: id },
    modelFileName('vision_encoder', own.config?.dtype ?? 'fp32'),
  )
  const info = inspectEncoder(file.bytes)
  if (!info.hasClsToken && wanted.some(({ attention }) => attention === 'cls'))
    throw new ArgumentError('attention', 'cls', 'received: this encoder has no CLS token')
  const pairs = [layers, ...wanted.map((variant) => layersOf(variant, layers))]
  const all = [...new Set(pairs.flatMap(({ object, deep }) => [object, deep]))]
  const deep = [...new Set(pairs.map((pair) => pair.deep))]
  const bytes = tapAttention(file.bytes, {
    layers: all,
    cls: info.hasClsToken ? all : [],
    keys: info.patchesPerToken === 1 ? deep : [],
  })
  return { session: await createSessionLike(own, { ...file, bytes }), layers, isExtra: true }
}

/** The layers that a variant reads. @throws ArgumentError for an object layer behind the deep layer. */
export function layersOf({ objectLayer, deepLayer }: Variant, own: TappedLayers): TappedLayers {
  const deep = deepLayer ?? own.deep
  // A method without an object layer may read any deep layer, also one in front of the model's object layer.
  const object = objectLayer ?? Math.min(own.object, deep)
  if (object > deep) throw new ArgumentError('objectLayer', object, `a layer up to the deep layer, ${deep}`)
  return { object, deep }
}

/** A session that runs another one and keeps what it returned. */
export function recordingSession(session: OnnxSession): { session: OnnxSession; outputs: () => EncoderOutputs } {
  let outputs: EncoderOutputs = {}
  const run = async (feeds: object) => {
    const result = await session.run(feeds)
    // The library replaces the tensors of the object that it gets.
    outputs = { ...result }
    return result
  }
  return { session: facade(session, session.outputNames, run), outputs: () => outputs }
}

/** A session that answers what an image's one run returned, as if it were tapped at the variant's layers. */
export function replayingSession(
  { session, layers }: EvaluationEncoder,
  outputs: EncoderOutputs,
  variant?: Variant,
): OnnxSession {
  const { object, deep } = variant ? layersOf(variant, layers) : layers
  const source = variant?.attention === 'cls' ? CLS : RECEIVED
  const taps = [
    [RECEIVED + object, source + object],
    [RECEIVED + deep, source + deep],
    [CLS + deep, CLS + deep],
    [KEYS + deep, KEYS + deep],
  ] as const
  const isTap = (name: string) => name.startsWith('attention_')
  const shown: Record<string, OrtTensor> = Object.fromEntries(Object.entries(outputs).filter(([name]) => !isTap(name)))
  for (const [name, from] of taps) if (outputs[from]) shown[name] = outputs[from]
  return facade(session, Object.keys(shown), () => Promise.resolve({ ...shown }))
}

function facade(
  { inputNames, inputMetadata, config }: OnnxSession,
  outputNames: readonly string[],
  run: OnnxSession['run'],
): OnnxSession {
  const release = () => Promise.resolve()
  return { inputNames, outputNames, run, release, ...(inputMetadata && { inputMetadata }), ...(config && { config }) }
}

/** A view of a model that encodes with another session. */
export function withEncoder(model: VisionLanguageModel, session: OnnxSession): VisionLanguageModel {
  return Object.create(model, {
    sessions: { value: { ...model.sessions, vision_encoder: session } },
  }) as VisionLanguageModel
}
