import type { PreTrainedTokenizer, Processor } from '@huggingface/transformers'
import { loadPruned, unprune, type LoadPrunedOptions } from '../../generation/index.js'
import {
  adapterFor,
  type ModelAdapter,
  type ModelConfig,
  type OnnxSession,
  type TextTower,
  type VisionLanguageModel,
} from '../../models/index.js'
import type { Variant } from '../variants.js'
import { Decoder } from './decoder.js'
import { encoderFor, type EvaluationEncoder } from './encoder.js'
import { modelFingerprint } from './fingerprint.js'

export interface EngineOptions {
  /** Seed of random methods. Default 0. */
  readonly seed?: number
  /** Most questions at once. Default 32; fewer where memory would not hold their keys and values. */
  readonly batch?: number
  /** Longest answer, in tokens. Default 64. */
  readonly max_new_tokens?: number
}

/** A loaded model, set up for evaluation. */
export interface Engine {
  /** Without pruning: the engine prunes by itself. */
  readonly model: VisionLanguageModel
  readonly config: ModelConfig
  readonly adapter: ModelAdapter
  readonly processor: Processor
  readonly tokenizer: PreTrainedTokenizer
  readonly textTower?: TextTower
  readonly encoder: EvaluationEncoder
  /** The model's own tapped encoder: what pruning in practice costs. */
  readonly ownEncoder: EvaluationEncoder
  readonly decoder: Decoder
  readonly seed: number
  /** SHA-256 of each of the model's ONNX files. */
  readonly fingerprint: Readonly<Record<string, string>>
  dispose(): Promise<void>
}

/**
 * Loads a model for evaluation, its encoder tapped at every layer that the variants read.
 *
 * @param loading As for `loadPruned`: dtype, device, objectLayer, calibration, ...
 */
export async function openEngine(
  modelId: string,
  variants: readonly Variant[],
  { seed = 0, batch = 32, max_new_tokens = 64 }: EngineOptions = {},
  loading: LoadPrunedOptions = {},
): Promise<Engine> {
  const loaded = await loadPruned(modelId, loading)
  const model = unprune(loaded.model) as unknown as VisionLanguageModel
  const encoder = await encoderFor(model, modelId, loading, variants)
  const session = model.sessions['vision_encoder'] as OnnxSession
  return {
    model,
    config: model.config,
    adapter: adapterFor(model.config),
    processor: loaded.processor,
    tokenizer: loaded.tokenizer,
    ...(loaded.textTower && { textTower: loaded.textTower }),
    encoder,
    ownEncoder: { ...encoder, session, isExtra: false },
    decoder: await Decoder.create(model, batch, max_new_tokens),
    seed,
    fingerprint: await modelFingerprint(model, modelId, loading),
    async dispose() {
      if (encoder.isExtra) await encoder.session.release()
      await model.dispose()
    },
  }
}
