import { ArgumentError, ModelError } from '../errors.js'
import {
  adapterFor,
  calibratedLayer,
  checkTaps,
  createSessionLike,
  findModelFile,
  layersToTap,
  modelFileName,
  readModelFile,
  tappedLayers,
  tapsFor,
  type EncoderCalibration,
  type ModelFile,
  type ModelSource,
  type OnnxSession,
  type VisionLanguageModel,
} from '../models/index.js'
import { inspectEncoder, tapAttention } from '../onnx/index.js'
import type { PatchGrid } from '../pruning/index.js'
import { runEncoder } from './encode-images.js'

export interface TapOptions extends Omit<ModelSource, 'modelId'> {
  /** Layer whose attention finds the main objects, 1-based as in the paper. Default: the encoder's own (SPEC 1). */
  readonly objectLayer?: number | undefined
  /** Layers that `hiprune calibrate` chose for this encoder; `objectLayer` goes before it. */
  readonly calibration?: EncoderCalibration | undefined
  /** ONNX Runtime session options, as in `from_pretrained`. */
  readonly session_options?: object | undefined
}

/**
 * Gives a loaded model's vision encoder the attention outputs that pruning reads: its file is read once more from where
 * Transformers.js keeps it, tapped in memory, and the session is replaced. Nothing is written. An encoder whose file was
 * tapped beforehand is left as it is.
 *
 * @param modelId What the model was loaded from: hub id or folder.
 * @throws ModelError when the file is not found, its attention is not understood, or the taps fail their check; ArgumentError
 *   for a calibration of another encoder.
 */
export async function tapModel<Model>(model: Model, modelId: string, options: TapOptions = {}): Promise<Model> {
  const target = model as unknown as VisionLanguageModel
  const encoder = target.sessions['vision_encoder']
  if (!encoder) throw new ModelError('this model was loaded without its vision_encoder session')
  const adapter = adapterFor(target.config)
  const source = { ...options, modelId }
  if (!tappedLayers(encoder)) {
    const file = await readModelFile(source, fileNameOf('vision_encoder', encoder))
    target.sessions['vision_encoder'] = await tappedSession(file, encoder, source, options)
    await encoder.release()
  } else if (options.calibration) {
    throw new ArgumentError('calibration', 'one', 'none, for this encoder was tapped beforehand')
  }
  // The library does not know further encoders, so they are still to be loaded.
  for (const name of adapter.extraEncoders ?? []) {
    const file = target.sessions[name] ? undefined : await findModelFile(source, fileNameOf(name, encoder))
    const { calibration: _ofVisionEncoder, ...others } = options
    if (file) target.sessions[name] = await tappedSession(file, encoder, source, others)
  }
  for (const name of ['vision_encoder', ...(adapter.extraEncoders ?? [])]) {
    if (target.sessions[name]) await proveTaps(target, name)
  }
  return model
}

function fileNameOf(name: string, like: OnnxSession): string {
  return modelFileName(name, like.config?.dtype ?? 'fp32')
}

/** A session of the tapped file, of the same runtime and device as `like`. */
async function tappedSession(
  file: ModelFile,
  like: OnnxSession,
  source: ModelSource,
  options: TapOptions,
): Promise<OnnxSession> {
  const info = inspectEncoder(file.bytes)
  const calibrated = options.calibration && (await calibratedLayer(options.calibration, file.bytes, info))
  const taps = tapsFor(info, layersToTap(info, options.objectLayer ?? calibrated))
  const tapped = { ...file, bytes: tapAttention(file.bytes, taps) }
  // On disk the runtime finds external data itself; elsewhere it has to be handed over.
  const externalData = file.folder ? [] : await Promise.all(info.externalData.map((path) => externalFile(source, path)))
  const sessionOptions = { ...(externalData.length > 0 && { externalData }), ...options.session_options }
  return await createSessionLike(like, tapped, sessionOptions)
}

async function externalFile(source: ModelSource, path: string): Promise<{ path: string; data: Uint8Array }> {
  return { path, data: (await readModelFile(source, path)).bytes }
}

/** One run on a black image: refuses the model when attention does not sum to 1 (SPEC 1), and warms the session up. */
async function proveTaps(model: VisionLanguageModel, session: string): Promise<void> {
  const encoder = model.sessions[session] as OnnxSession
  const adapter = adapterFor(model.config)
  const inputs = adapter.blankImage(model.config, encoder)
  const { outputs } = await runEncoder(model, inputs, session)
  const [grid] = adapter.grids(model.config, inputs)
  const taps = tappedLayers(encoder)
  if (taps) checkTaps(outputs, taps, grid as PatchGrid, adapter.patchesPerToken(model.config))
}
