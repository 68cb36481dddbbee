import { seededRandom } from '../src/numeric/random.js'
import type { PruneInput } from '../src/pruning/types.js'

/** Every input that any method reads. */
export type FullInput = Required<PruneInput> & {
  readonly features: Float32Array
  readonly keys: Float32Array
}

/**
 * A random image: scores in (0, 1), features and keys that lie in a few clusters as those of real images do, so that
 * similarities are neither all 0 nor all 1.
 */
export function randomInput(rows: number, columns: number, seed: number, width = 12): FullInput {
  const next = seededRandom(seed * 7919 + 1)
  const numTokens = rows * columns
  const scores = () => Float32Array.from({ length: numTokens }, next)
  return {
    grid: { rows, columns },
    objectScores: scores(),
    deepScores: scores(),
    clsScores: scores(),
    relevance: scores().map((value) => 2 * value - 1),
    features: clusteredRows(numTokens, width, next),
    keys: clusteredRows(numTokens, Math.max(1, width >> 1), next),
    seed,
  }
}

/** Row-major `[numTokens, width]`. */
export function clusteredRows(numTokens: number, width: number, next: () => number, clusters = 5): Float32Array {
  const centres = Float32Array.from({ length: clusters * width }, () => next() - 0.5)
  const rows = new Float32Array(numTokens * width)
  for (let i = 0; i < numTokens; i++) {
    const cluster = Math.floor(next() * clusters)
    for (let d = 0; d < width; d++) rows[i * width + d] = centres[cluster * width + d]! + 0.5 * (next() - 0.5)
  }
  return rows
}

/** Rows as plain float64 arrays, for slow twins. */
export function rowsOf(values: ArrayLike<number>, numRows: number): number[][] {
  const width = values.length / numRows
  return Array.from({ length: numRows }, (_, i) => Array.from({ length: width }, (_, d) => values[i * width + d]!))
}

export function slowCosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, d) => sum + value * y[d]!, 0)
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b))
  return lengths > 0 ? dot(a, b) / lengths : 0
}

/** Indices by descending score, the lower index first among equals. */
export function slowRanking(
  scores: ArrayLike<number>,
  among: Iterable<number> = Array.from(scores, (_, i) => i),
): number[] {
  return [...among].sort((a, b) => scores[b]! - scores[a]! || a - b)
}

export const ascending = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b)

/** Runs a check on random images of many shapes and budgets, N from 1 to 48. */
export function onRandomInputs(runs: number, check: (input: FullInput, keep: number) => void): void {
  const next = seededRandom(runs)
  for (let run = 0; run < runs; run++) {
    const rows = 1 + Math.floor(next() * 6)
    const columns = 1 + Math.floor(next() * 8)
    check(randomInput(rows, columns, run), 1 + Math.floor(next() * rows * columns))
  }
}
