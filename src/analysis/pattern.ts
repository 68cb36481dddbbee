import type { LayerChoice } from './calibration.js'
import { intervalOf } from './statistics.js'

/** An end of the encoder counts as below the middle when its IoU is at most this share of it; the paper's ends are .26 to .86. */
const CLEARLY_BELOW = 0.9

/** The middle counts as finding objects when its IoU is at least this multiple of a random choice's. */
const CLEARLY_ABOVE_CHANCE = 1.5

/** The share of bootstrap samples in which a statement must hold. */
const SURE = 0.95

/** The middle layer that the paper relates the others to. 1-based. */
export function middleLayer(depth: number): number {
  return Math.max(1, Math.round(depth / 2))
}

/** Whether one half of the paper's observation shows. */
export interface Finding {
  readonly shows: boolean
  /** One sentence with the numbers. */
  readonly reading: string
}

/** IoU of the first, middle and last layer relative to the middle one, the paper's table (SPEC 6). */
export interface RelativeIou {
  readonly first: number
  readonly last: number
  readonly first95: readonly [number, number]
  readonly last95: readonly [number, number]
}

/**
 * @param curve `[L]` mean IoU.
 * @param replicates The same of bootstrap samples of the images.
 */
export function relativeIou(curve: ArrayLike<number>, replicates: readonly ArrayLike<number>[]): RelativeIou {
  const middle = middleLayer(curve.length) - 1
  const ratio = (row: ArrayLike<number>, layer: number) => (row[layer] as number) / (row[middle] as number)
  const ratios = (layer: number) => intervalOf(replicates.map((row) => ratio(row, layer)))
  const last = curve.length - 1
  return { first: ratio(curve, 0), last: ratio(curve, last), first95: ratios(0), last95: ratios(last) }
}

/** Middle layers look at objects: IoU in the middle is clearly above both ends and above a random choice. */
export function objectsInTheMiddle(
  curve: ArrayLike<number>,
  chance: number,
  replicates: readonly ArrayLike<number>[],
): Finding {
  const middle = middleLayer(curve.length)
  const holds = (row: ArrayLike<number>) => {
    const level = row[middle - 1] as number
    const ends = Math.max(row[0] as number, row[curve.length - 1] as number)
    return ends <= CLEARLY_BELOW * level && level >= CLEARLY_ABOVE_CHANCE * chance
  }
  const share = replicates.filter(holds).length / Math.max(1, replicates.length)
  const { first, last } = relativeIou(curve, replicates)
  const level = (curve[middle - 1] as number) / chance
  return {
    shows: holds(curve) && share >= SURE,
    reading:
      `IoU of layer 1 is ${first.toFixed(2)} and of layer ${curve.length} ${last.toFixed(2)} of that of layer ${middle}, ` +
      `which is ${level.toFixed(1)} times a random choice's; the pattern (ends at most ${CLEARLY_BELOW} of the middle, ` +
      `middle at least ${CLEARLY_ABOVE_CHANCE} times chance) holds in ${Math.round(100 * share)} % of bootstrap samples`,
  }
}

/** Deep layers look everywhere: dispersion jumps, and stays above the middle. */
export function globalInTheDeep(curve: ArrayLike<number>, choice: LayerChoice): Finding {
  if (choice.method === 'fallback') return { shows: false, reading: choice.reason }
  const deep = Array.from(curve).slice(choice.objectLayer)
  const mean = deep.reduce((sum, value) => sum + value, 0) / deep.length
  const before = curve[choice.objectLayer - 1] as number
  return {
    shows: mean > before,
    reading: `${choice.reason}; the layers behind have ${(mean / before).toFixed(2)} times the dispersion of layer ${choice.objectLayer}`,
  }
}
