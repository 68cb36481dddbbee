import { withArena, rowOf } from '../numeric/arena.js'
import { floatsOfMatrix, loadUnitRows } from '../numeric/rows.js'

/** Neighbours in sequence that a token is compared with (SPEC 6). */
export const NEIGHBOURS = 10

/**
 * How alike a token and its neighbours in sequence are: the sum of its cosine similarities with 10 neighbours, five before and
 * five behind it (at an end of the sequence: the 10 nearest), mean over tokens. 10 would be a sequence of equal tokens. A
 * sequence of fewer than 11 tokens is scaled to 10 neighbours.
 *
 * SPEC 6 says "10 neighbours in sequence"; that they lie on both sides is a reconstruction.
 *
 * @param vectors Row-major `[T, D]`.
 * @returns NaN for fewer than two tokens.
 */
export function neighbourSimilarity(vectors: Float32Array, numTokens: number): number {
  const window = Math.min(NEIGHBOURS, numTokens - 1)
  if (window < 1) return NaN
  return withArena(floatsOfMatrix(vectors, numTokens) + 2 * NEIGHBOURS, (arena) => {
    const rows = loadUnitRows(arena, vectors, numTokens)
    const cosines = arena.floats(window + 1)
    let sum = 0
    for (let i = 0; i < numTokens; i++) {
      const from = Math.min(Math.max(0, i - Math.floor(window / 2)), numTokens - 1 - window)
      arena.dots(rowOf(rows, i), rows, from, window + 1, cosines)
      for (let k = 0; k <= window; k++) if (from + k !== i) sum += cosines[k] as number
    }
    return ((sum / numTokens) * NEIGHBOURS) / window
  })
}
