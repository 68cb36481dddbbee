import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bestIou, chanceIou, iouOf } from '../../src/analysis/iou.js'
import { meanDistances, pairwiseDistances } from '../../src/analysis/dispersion.js'
import { rankDistances, ranksOf, topCount } from '../../src/analysis/ranks.js'
import { neighbourSimilarity } from '../../src/analysis/redundancy.js'
import { seededRandom } from '../../src/numeric/random.js'

/** Row-major `[rows, width]` in [-1, 1). */
function matrix(rows: number, width: number, seed: number): Float32Array {
  const random = seededRandom(seed)
  return Float32Array.from({ length: rows * width }, () => 2 * random() - 1)
}
const rowsOf = (values: Float32Array, count: number) =>
  Array.from({ length: count }, (_, i) => [
    ...values.subarray((i * values.length) / count, ((i + 1) * values.length) / count),
  ])
const distance = (a: number[], b: number[]) => Math.sqrt(a.reduce((sum, value, d) => sum + (value - b[d]!) ** 2, 0))

describe('ranks', () => {
  it('are the number of smaller scores, of equal ones of the earlier', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 40 }), (scores) => {
        const slow = scores.map(
          (score, i) => scores.filter((other, j) => other < score || (other === score && j < i)).length,
        )
        expect([...ranksOf(scores)]).toEqual(slow)
      }),
    )
  })

  it('give layer distances in pairs (0,1), (0,2), (1,2), with ranks from 0 to 1', () => {
    const ranks = [
      [0, 1, 2],
      [0, 2, 1],
      [2, 1, 0],
    ].map((row) => Uint32Array.from(row))
    expect([...rankDistances(ranks)]).toEqual([0.5, 2, 1.5])
  })

  it('a share is rounded half to even, and at least one token', () => {
    expect([topCount(576, 0.05), topCount(50, 0.05), topCount(70, 0.05), topCount(4, 0.05)]).toEqual([29, 2, 4, 1])
  })
})

describe('dispersion', () => {
  it('equals the mean of all distances, computed one by one', () => {
    for (const [tokens, width, seed] of [
      [2, 1, 1],
      [17, 5, 2],
      [40, 33, 3],
    ] as const) {
      const values = matrix(tokens, width, seed).map((value) => value + 100)
      const rows = rowsOf(values, tokens)
      const order = Uint32Array.from({ length: tokens }, (_, i) => (i * 7 + 3) % tokens)
      const counts = [1, 2, Math.ceil(tokens / 2), tokens]
      const slow = counts.map((count) => {
        const pairs = [...order.subarray(0, count)].flatMap((a, i, all) =>
          all.slice(i + 1).map((b) => distance(rows[a]!, rows[b]!)),
        )
        return pairs.length === 0 ? 0 : pairs.reduce((sum, d) => sum + d, 0) / pairs.length
      })
      const fast = meanDistances(pairwiseDistances(values, tokens), tokens, order, counts)
      fast.forEach((value, i) => expect(value).toBeCloseTo(slow[i]!, 4))
    }
  })

  it('distances are symmetric with a diagonal of 0', () => {
    const distances = pairwiseDistances(matrix(9, 4, 5), 9)
    for (let i = 0; i < 9; i++) {
      expect(distances[i * 9 + i]).toBe(0)
      for (let j = 0; j < 9; j++) expect(distances[i * 9 + j]).toBe(distances[j * 9 + i])
    }
  })
})

describe('IoU', () => {
  it('counts shared tokens over all', () => {
    const objects = Uint8Array.from([1, 1, 0, 0, 1, 0])
    expect(iouOf([0, 2], objects)).toBe(1 / 4)
    expect(iouOf([0, 1, 4], objects)).toBe(1)
    expect(iouOf([2, 3], objects)).toBe(0)
    expect(bestIou(2, 3)).toBe(2 / 3)
  })

  it("a random choice's is the mean over all choices", () => {
    const [tokens, count] = [7, 3]
    const choices = Array.from({ length: 1 << tokens }, (_, bits) =>
      Array.from({ length: tokens }, (_, i) => i).filter((i) => bits & (1 << i)),
    ).filter((choice) => choice.length === count)
    for (const numObjects of [1, 4, 6]) {
      const objects = Uint8Array.from({ length: tokens }, (_, i) => (i < numObjects ? 1 : 0))
      const mean = choices.reduce((sum, choice) => sum + iouOf(choice, objects), 0) / choices.length
      expect(chanceIou(tokens, count, numObjects)).toBeCloseTo(mean, 12)
    }
  })
})

describe('neighbour similarity', () => {
  it('equals the sum of ten cosines, computed one by one', () => {
    const [tokens, width] = [23, 6]
    const values = matrix(tokens, width, 8)
    const rows = rowsOf(values, tokens)
    const zero = Array<number>(width).fill(0)
    const cosine = (a: number[], b: number[]) =>
      a.reduce((sum, v, d) => sum + v * b[d]!, 0) / distance(a, zero) / distance(b, zero)
    const sums = rows.map((row, i) => {
      const from = Math.min(Math.max(0, i - 5), tokens - 11)
      const neighbours = Array.from({ length: 11 }, (_, k) => from + k).filter((k) => k !== i)
      return neighbours.reduce((sum, k) => sum + cosine(row, rows[k]!), 0)
    })
    expect(neighbourSimilarity(values, tokens)).toBeCloseTo(sums.reduce((a, b) => a + b) / tokens, 5)
  })

  it('is 10 for equal tokens, also for few, and NaN for one', () => {
    expect(neighbourSimilarity(new Float32Array(60).fill(2), 20)).toBeCloseTo(10, 5)
    expect(neighbourSimilarity(new Float32Array(12).fill(2), 4)).toBeCloseTo(10, 5)
    expect(neighbourSimilarity(new Float32Array(3).fill(2), 1)).toBeNaN()
  })
})
