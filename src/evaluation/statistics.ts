import { seededRandom } from '../numeric/random.js'

/**
 * Bootstrap samples of pictures: how often each picture is drawn. Questions about one picture are not independent, so
 * pictures are drawn and not questions. Every cell of a run sees the same samples, so that ratios of cells are paired.
 */
export function bootstrapCounts(numPictures: number, numSamples: number, seed: number): Uint16Array[] {
  const random = seededRandom(Math.imul(seed + 1, 0x9e3779b1))
  return Array.from({ length: numSamples }, () => {
    const counts = new Uint16Array(numPictures)
    for (let i = 0; i < numPictures; i++) {
      const drawn = Math.floor(random() * numPictures)
      counts[drawn] = (counts[drawn] as number) + 1
    }
    return counts
  })
}

/** Result of {@link mcnemar}. */
export interface PairedTest {
  /** Questions that only the first, and only the second got right (or better). */
  readonly first: number
  readonly second: number
  /** Two-sided, exact. */
  readonly p: number
}

/**
 * McNemar's exact test of two methods on the same questions: under the null hypothesis a question that only one of them gets
 * right falls to either with probability one half. With graded scores, the better one counts (the sign test).
 */
export function mcnemar(first: readonly number[], second: readonly number[]): PairedTest {
  let [better, worse] = [0, 0]
  first.forEach((score, i) => {
    if (score > (second[i] as number)) better++
    if (score < (second[i] as number)) worse++
  })
  return { first: better, second: worse, p: signTest(better, worse) }
}

function signTest(a: number, b: number): number {
  const n = a + b
  let logChoose = 0
  let tail = 0
  for (let k = 0; k <= Math.min(a, b); k++) {
    if (k > 0) logChoose += Math.log((n - k + 1) / k)
    tail += Math.exp(logChoose - n * Math.LN2)
  }
  return Math.min(1, 2 * tail)
}

/** The middle value, or the mean of the two middle ones. @param values At least one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}
