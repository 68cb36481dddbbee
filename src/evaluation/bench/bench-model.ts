import type { PrunedModel } from '../../generation/index.js'
import type { ModelSource, VisionLanguageModel } from '../../models/index.js'
import { shapeFromConfig } from '../flops/from-config.js'
import type { VlmShape } from '../flops/shape.js'
import { encoderSizes, type EncoderSizes } from './comparison.js'
import { benchEncoder, type EncoderResult } from './encoder.js'
import { benchStages, type StageOptions, type VariantResult } from './stages.js'

export interface BenchModelOptions extends Omit<StageOptions, 'shape' | 'onRun'> {
  /** What to call it in the report. */
  readonly name: string
  readonly source: ModelSource
  readonly session_options?: object | undefined
  readonly onRun?: ((what: string, done: number, total: number) => void) | undefined
}

/** All that is measured of one model. */
export interface ModelBench {
  readonly name: string
  readonly dtype: string
  readonly device: string
  /** All tokens first. */
  readonly variants: readonly VariantResult[]
  readonly encoder?: EncoderResult
  readonly encoderSizes?: EncoderSizes
  /** Keys and values of one token as the configuration has them, float32. */
  readonly kvBytesPerToken?: number
}

/** Stages with all tokens and with each budget, then the encoder with and without taps. In Node and in browsers. */
export async function benchModel(loaded: PrunedModel, options: BenchModelOptions): Promise<ModelBench> {
  const { name, onRun } = options
  const { config, sessions } = loaded.model as unknown as VisionLanguageModel
  const shape = shapeOf(config, name)
  const variants = await benchStages(loaded, {
    ...options,
    shape,
    onRun: (done, total) => onRun?.(`${name}: stages`, done, total),
  })
  const encoder = await benchEncoder(loaded, {
    ...options,
    onRun: (done, total) => onRun?.(`${name}: encoder`, done, total),
  })
  const sizes = encoderSizes(config)
  const { dtype = 'fp32', device = 'cpu' } = sessions['vision_encoder']?.config ?? {}
  return {
    name,
    dtype,
    device,
    variants,
    ...(encoder && { encoder }),
    ...(sizes && { encoderSizes: sizes }),
    ...(shape && { kvBytesPerToken: 2 * shape.text.layers * shape.text.kvHeads * shape.text.headSize * 4 }),
  }
}

/** Ideals are left out for models that are not counted. */
function shapeOf(config: object, name: string): VlmShape | undefined {
  try {
    return shapeFromConfig(config as Record<string, unknown>, name)
  } catch {
    return undefined
  }
}
