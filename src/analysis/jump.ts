import { roundHalfToEven } from '../numeric/round.js'

/** The smallest relative rise that counts as a jump. The paper's CLIP-L rises by 1.2; a random encoder's layers differ by some hundredths. */
export const MIN_RISE = 0.2

/** The smallest share of bootstrap samples that must find the same layer. */
export const MIN_AGREEMENT = 0.8

/** The largest relative rise of a dispersion curve. Layers are 1-based. */
export interface Rise {
  /** The layer just before the rise. */
  readonly layer: number
  /** dispersion(layer + 1) / dispersion(layer) - 1 */
  readonly rise: number
  /** The second largest rise, not below 0. */
  readonly runnerUp: number
}

/** The last layer that a jump may reach: three quarters of the depth (SPEC 6), since every encoder's last layers spread. */
export function lastJumpLayer(depth: number): number {
  return Math.max(2, Math.floor(0.75 * depth))
}

/**
 * @param curve `[L]` dispersion of layer 1, 2, ...
 * @returns Layer 1 and rise 0 for an encoder of one layer.
 */
export function largestRise(curve: ArrayLike<number>): Rise {
  const rises: { layer: number; rise: number }[] = []
  for (let layer = 1; layer < Math.min(curve.length, lastJumpLayer(curve.length)); layer++) {
    rises.push({ layer, rise: (curve[layer] as number) / Math.max(curve[layer - 1] as number, 1e-12) - 1 })
  }
  rises.sort((a, b) => b.rise - a.rise || a.layer - b.layer)
  const [first = { layer: 1, rise: 0 }, second] = rises
  return { ...first, runnerUp: Math.max(0, second?.rise ?? 0) }
}

/** SPEC 1: the object layer of an encoder that nothing is known of. */
export function fallbackLayer(depth: number): number {
  return Math.max(1, roundHalfToEven(0.375 * depth))
}

/** Shallow, middle and deep layers as [first, last], 1-based; shallow is null where the middle starts at layer 1. */
export interface Phases {
  readonly shallow: readonly [number, number] | null
  readonly middle: readonly [number, number]
  readonly deep: readonly [number, number]
}

/**
 * Phases of an encoder with a jump behind `objectLayer`: deep starts behind the jump; middle is the run of layers up to it
 * whose dispersion is within a tenth of the lowest one before it; shallow is the rest. The paper draws these borders by eye;
 * the tenth is a reconstruction.
 */
export function phasesOf(curve: ArrayLike<number>, objectLayer: number): Phases {
  const before = Array.from({ length: objectLayer }, (_, i) => curve[i] as number)
  const most = 1.1 * Math.min(...before)
  let first = objectLayer
  const isLow = (layer: number) => (before[layer - 1] as number) <= most
  while (first > 1 && isLow(first) && isLow(first - 1)) first--
  return {
    shallow: first > 1 ? [1, first - 1] : null,
    middle: [first, objectLayer],
    deep: [objectLayer + 1, curve.length],
  }
}
