import type { EncoderCalibration } from '../models/index.js'
import { fallbackLayer, largestRise, MIN_AGREEMENT, MIN_RISE } from './jump.js'
import type { StudyNumbers } from './numbers.js'
import { intervalOf } from './statistics.js'

/** The layers that suit an encoder, and how sure that is. */
export interface LayerChoice {
  /** 1-based layer whose attention finds the objects. */
  readonly objectLayer: number
  /** 1-based layer that produces the features: the last one in the file. */
  readonly deepLayer: number
  /** 'dispersion': the layer just before a jump; 'fallback': there is no jump, and the layer is round(0.375 L) (SPEC 1). */
  readonly method: 'dispersion' | 'fallback'
  /** One sentence that says why. */
  readonly reason: string
  /** The largest relative rise of dispersion within the first three quarters of the layers. */
  readonly jump: {
    /** Layers before and behind it. */
    readonly layers: readonly [number, number]
    readonly rise: number
    readonly rise95: readonly [number, number]
    /** The rise over the second largest; null when nothing else rises. */
    readonly sharpness: number | null
    /** Share of bootstrap samples of the images with the largest rise at the same layer. */
    readonly agreement: number
  }
}

/**
 * Chooses the layers from dispersion curves.
 *
 * @param curve `[L]` mean dispersion of the top 5 %.
 * @param replicates The same of bootstrap samples of the images.
 */
export function chooseLayers(curve: ArrayLike<number>, replicates: readonly ArrayLike<number>[]): LayerChoice {
  const deepLayer = curve.length
  const found = largestRise(curve)
  const others = replicates.map(largestRise)
  const agreement = others.filter(({ layer }) => layer === found.layer).length / Math.max(1, others.length)
  const rises = replicates.map((row) => (row[found.layer] as number) / (row[found.layer - 1] as number) - 1)
  const problem = noJump(found.rise, agreement)
  return {
    objectLayer: problem ? fallbackLayer(deepLayer) : found.layer,
    deepLayer,
    method: problem ? 'fallback' : 'dispersion',
    reason: problem ?? `dispersion rises by ${percent(found.rise)} from layer ${found.layer} to ${found.layer + 1}`,
    jump: {
      layers: [found.layer, found.layer + 1],
      rise: found.rise,
      rise95: intervalOf(rises),
      sharpness: found.runnerUp > 0 ? found.rise / found.runnerUp : null,
      agreement,
    },
  }
}

function noJump(rise: number, agreement: number): string | undefined {
  if (rise < MIN_RISE)
    return `no jump: the largest rise of dispersion is ${percent(rise)}, a jump is ${percent(MIN_RISE)} or more`
  if (agreement < MIN_AGREEMENT)
    return `no sure jump: only ${percent(agreement)} of bootstrap samples rise at the same layer, ${percent(MIN_AGREEMENT)} are needed`
  return undefined
}

const percent = (share: number) => `${Math.round(100 * share)} %`

/** The JSON of `hiprune calibrate`, as `ask`, `serve` and `loadPruned` accept it. */
export interface Calibration extends LayerChoice, EncoderCalibration {
  readonly images: number
  readonly seed: number
  /** Mean dispersion of the top 5 % of each layer, from layer 1. */
  readonly dispersion: readonly number[]
  /** Where masks were given: mean IoU of each layer, that of a random choice, and the 1-based layer where it is largest. */
  readonly iou?: { readonly mean: readonly number[]; readonly chance: number; readonly bestLayer: number }
}

/** What `hiprune calibrate` writes. @param seed Of the bootstrap. */
export function calibrationOf(
  { file, sha256 }: { readonly file: string; readonly sha256: string },
  { images, layers, dispersion, iou }: StudyNumbers,
  seed: number,
): Calibration {
  return {
    version: 1,
    encoder: { file, sha256 },
    ...layers,
    images,
    seed,
    dispersion: dispersion[0]?.mean ?? [],
    ...(iou && { iou: { mean: iou.mean, chance: iou.chance, bestLayer: iou.bestLayer } }),
  }
}

/** What the masks say to the chosen layer, in one sentence; it may speak against it, and then the reader has to choose. */
export function masksInWords(objectLayer: number, iou: NonNullable<Calibration['iou']>): string {
  const [own, best] = [iou.mean[objectLayer - 1] as number, iou.mean[iou.bestLayer - 1] as number]
  const isBlind = own < iou.chance ? ', so it does not look at objects' : ''
  return (
    `the IoU of layer ${objectLayer} with the objects is ${own.toFixed(3)} (random choice: ${iou.chance.toFixed(3)}${isBlind}), ` +
    `the largest is ${best.toFixed(3)} in layer ${iou.bestLayer}`
  )
}
