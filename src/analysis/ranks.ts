import { roundHalfToEven } from '../numeric/round.js'

/**
 * Rank of each score, as `argsort(argsort(scores))` gives it: 0 for the smallest, N - 1 for the largest. Of equal scores the
 * lower index has the lower rank. O(N log N).
 *
 * @param scores `[N]`
 */
export function ranksOf(scores: ArrayLike<number>): Uint32Array {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i)
  order.sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b)
  const ranks = new Uint32Array(scores.length)
  for (let rank = 0; rank < order.length; rank++) ranks[order[rank] as number] = rank
  return ranks
}

/** Tokens in a share of N: rounded half to even, at least one. */
export function topCount(numTokens: number, share: number): number {
  return Math.max(1, roundHalfToEven(numTokens * share))
}

/**
 * Squared Euclidean distance of each pair of layers' rank vectors, ranks scaled to [0, 1]: pairs (0,1), (0,2), ..., (1,2), ...
 * Summed over images it is the distance of the vectors that all images together make, so that no image has to be kept.
 *
 * @param ranks One `[N]` a layer.
 * @returns `[L (L - 1) / 2]`
 */
export function rankDistances(ranks: readonly Uint32Array[]): Float64Array {
  const distances = new Float64Array((ranks.length * (ranks.length - 1)) / 2)
  let pair = 0
  for (let a = 0; a < ranks.length; a++) {
    for (let b = a + 1; b < ranks.length; b++) {
      distances[pair++] = squaredDistance(ranks[a] as Uint32Array, ranks[b] as Uint32Array)
    }
  }
  return distances
}

function squaredDistance(a: Uint32Array, b: Uint32Array): number {
  const scale = 1 / Math.max(1, a.length - 1)
  let sum = 0
  for (let i = 0; i < a.length; i++) {
    const difference = ((a[i] as number) - (b[i] as number)) * scale
    sum += difference * difference
  }
  return sum
}
