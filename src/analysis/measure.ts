import { topK } from '../numeric/top-k.js'
import type { EncodedLayers } from './encoder.js'
import { meanDistances, pairwiseDistances } from './dispersion.js'
import { bestIou, chanceIou, countOnes, iouOf } from './iou.js'
import { objectTokens, type ObjectMask } from './masks.js'
import { rankDistances, ranksOf, topCount } from './ranks.js'
import { neighbourSimilarity } from './redundancy.js'
import { SHARES } from './totals.js'

/** Share of tokens whose overlap with objects is measured (SPEC 6). */
const IOU_SHARE = 0.1

/** The quantities of SPEC 6 for one image. */
export interface ImageMeasures {
  /** Per share of {@link SHARES} one number a layer: mean distance among the top tokens. */
  readonly dispersion: readonly (readonly number[])[]
  /** Mean distance of all pairs of tokens. */
  readonly spread: number
  readonly neighbourSimilarity: number
  /** Absent without a mask, or where no token is an object token. */
  readonly objects?: {
    /** One number a layer. */
    readonly iou: readonly number[]
    /** IoU of a random choice, and the best possible one. */
    readonly chance: number
    readonly best: number
    /** Object tokens among all. */
    readonly share: number
  }
  readonly rankDistances: Float64Array
}

/** Measures one encoded image. @param mask Of the whole image, in its pixels. */
export function measureImage(encoded: EncodedLayers, mask?: ObjectMask): ImageMeasures {
  const { received, features, numTokens } = encoded
  const counts = SHARES.map((share) => topCount(numTokens, share))
  const orders = received.map((scores) => topK(scores, counts.at(-1) as number))
  const distances = pairwiseDistances(features, numTokens)
  const perLayer = orders.map((order) => meanDistances(distances, numTokens, order, counts))
  const everything = Uint32Array.from({ length: numTokens }, (_, i) => i)
  const objects = mask && overlap(encoded, mask, orders)
  return {
    dispersion: SHARES.map((_, s) => perLayer.map((row) => row[s] as number)),
    spread: meanDistances(distances, numTokens, everything, [numTokens])[0] as number,
    neighbourSimilarity: neighbourSimilarity(features, numTokens),
    ...(objects && { objects }),
    rankDistances: rankDistances(received.map(ranksOf)),
  }
}

/** @param orders Per layer at least the top 10 % of tokens, best first. */
function overlap({ region, grid, numTokens }: EncodedLayers, mask: ObjectMask, orders: readonly Uint32Array[]) {
  const objects = objectTokens(mask, region, grid)
  const numObjects = countOnes(objects)
  if (numObjects === 0) return undefined
  const count = topCount(numTokens, IOU_SHARE)
  return {
    iou: orders.map((order) => iouOf(order.subarray(0, count), objects)),
    chance: chanceIou(numTokens, count, numObjects),
    best: bestIou(count, numObjects),
    share: numObjects / numTokens,
  }
}
