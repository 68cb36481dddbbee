import { ArgumentError, ModelError } from '../../errors.js'
import type { VisionSizes } from '../shape-models/sizes.js'
import { ratios, summarise, type Summary } from './summary.js'

/** The sizes of a vision encoder, as far as another program must agree on them. */
export type EncoderSizes = VisionSizes

/** What training/compare_encoder.py measured: the same encoder in PyTorch, plain and with the attention of all layers. */
export interface EncoderComparison {
  readonly sizes: EncoderSizes
  readonly threads: number
  readonly versions: Readonly<Record<string, string>>
  readonly plain: Summary
  readonly eager: Summary
  /** Eager with attention over plain, round by round. */
  readonly ratio: Summary
  readonly plainBytes?: number
  readonly eagerBytes?: number
}

const SIZES = ['image', 'patch', 'width', 'hidden', 'heads', 'layers'] as const

/**
 * Reads the script's JSON.
 *
 * @param file Its name, for messages.
 * @throws ModelError when it is not such a file.
 */
export function readComparison(text: string, file: string): EncoderComparison {
  const wrong = (what: string) =>
    new ModelError(`${file}: ${what}; expected what training/compare_encoder.py --json writes`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrong('not JSON')
  }
  const { sizes, threads, versions, plain, eager } = value as Record<string, Record<string, unknown>>
  if (!sizes || SIZES.some((name) => typeof sizes[name] !== 'number')) throw wrong('no sizes of the encoder')
  const [plainTimes, eagerTimes] = [timesOf(plain), timesOf(eager)]
  if (!plainTimes || plainTimes.length !== eagerTimes?.length) throw wrong('no times of both ways')
  return {
    sizes: sizes as unknown as EncoderSizes,
    threads: Number(threads),
    versions: versions as Record<string, string>,
    plain: summarise(plainTimes),
    eager: summarise(eagerTimes),
    ratio: ratios(eagerTimes, plainTimes),
    ...bytesOf('plainBytes', plain),
    ...bytesOf('eagerBytes', eager),
  }
}

function timesOf(variant: Record<string, unknown> | undefined): number[] | undefined {
  const times = variant?.['timesMs']
  const isTimes =
    Array.isArray(times) && times.length > 0 && times.every((time) => typeof time === 'number' && time > 0)
  return isTimes ? (times as number[]) : undefined
}

function bytesOf(key: string, variant: Record<string, unknown> | undefined): object {
  const bytes = variant?.['extraBytes']
  return typeof bytes === 'number' ? { [key]: bytes } : {}
}

/** The sizes that a config.json gives, or undefined where it does not give all of them. */
export function encoderSizes(config: object): EncoderSizes | undefined {
  const { vision_config: vision, vision_feature_layer: feature } = config as {
    vision_config?: Record<string, unknown>
    vision_feature_layer?: unknown
  }
  const layers = Number(vision?.['num_hidden_layers'])
  const sizes = {
    image: Number(vision?.['image_size']),
    patch: Number(vision?.['patch_size']),
    width: Number(vision?.['hidden_size']),
    hidden: Number(vision?.['intermediate_size']),
    heads: Number(vision?.['num_attention_heads']),
    layers: typeof feature === 'number' && feature < 0 ? layers + 1 + feature : layers,
  }
  return SIZES.every((name) => Number.isFinite(sizes[name])) ? sizes : undefined
}

/**
 * @param benched The encoders that will be measured; undefined where that is not known yet.
 * @throws ArgumentError when none of them is the encoder that was compared.
 */
export function checkComparison({ sizes }: EncoderComparison, benched: readonly (EncoderSizes | undefined)[]): void {
  if (benched.some((candidate) => !candidate || sameSizes(candidate, sizes))) return
  const written = ({ image, patch, width, hidden, heads, layers }: EncoderSizes) =>
    `${image}/${patch} px, ${width} x ${hidden}, ${heads} heads, ${layers} layers`
  const known = benched.map((candidate) => written(candidate as EncoderSizes))
  throw new ArgumentError('--compare', written(sizes), `the encoder that is measured: ${known.join(' or ')}`)
}

export function sameSizes(a: EncoderSizes, b: EncoderSizes): boolean {
  return SIZES.every((name) => a[name] === b[name])
}
