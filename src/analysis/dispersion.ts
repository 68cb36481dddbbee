import { withArena } from '../numeric/arena.js'
import { floatsOfMatrix, loadRows, sumOfSquares } from '../numeric/rows.js'
import { floatsOfVisit, visitPairs } from '../numeric/similarities.js'
import { rowOf } from '../numeric/arena.js'

/**
 * Euclidean distances of all pairs of tokens. O(N^2 D) time, O(N^2) memory.
 *
 * @param features Row-major `[N, D]`.
 * @returns Row-major `[N, N]`, symmetric, 0 on the diagonal.
 */
export function pairwiseDistances(features: Float32Array, numTokens: number): Float32Array {
  const centred = withoutMean(features, numTokens)
  return withArena(floatsOfMatrix(centred, numTokens) + floatsOfVisit(), (arena) => {
    const rows = loadRows(arena, centred, numTokens)
    const squares = Float64Array.from({ length: numTokens }, (_, i) => sumOfSquares(rowOf(rows, i)))
    const distances = new Float32Array(numTokens * numTokens)
    visitPairs(arena, rows, (i, from, products) => {
      for (let k = from === i ? 1 : 0; k < products.length; k++) {
        const j = from + k
        const squared = (squares[i] as number) + (squares[j] as number) - 2 * (products[k] as number)
        const distance = Math.sqrt(Math.max(0, squared))
        distances[i * numTokens + j] = distance
        distances[j * numTokens + i] = distance
      }
    })
    return distances
  })
}

/** Distances do not change, but the products lose fewer digits when a common offset is gone. */
function withoutMean(features: Float32Array, numTokens: number): Float32Array {
  const width = features.length / numTokens
  const mean = new Float64Array(width)
  for (let i = 0; i < features.length; i++) mean[i % width] = (mean[i % width] as number) + (features[i] as number)
  return features.map((value, i) => value - (mean[i % width] as number) / numTokens)
}

/**
 * Mean distance of all pairs among the first `counts[s]` tokens of `order`, for each s (SPEC 6: dispersion).
 *
 * @param distances Row-major `[N, N]`.
 * @param order Tokens, best first, at least as many as the largest count.
 * @param counts Ascending. A single token has dispersion 0.
 */
export function meanDistances(
  distances: Float32Array,
  numTokens: number,
  order: Uint32Array,
  counts: readonly number[],
): number[] {
  let sum = 0
  let done = 0
  return counts.map((count) => {
    for (; done < count; done++) {
      const row = (order[done] as number) * numTokens
      for (let i = 0; i < done; i++) sum += distances[row + (order[i] as number)] as number
    }
    return count < 2 ? 0 : sum / ((count * (count - 1)) / 2)
  })
}
