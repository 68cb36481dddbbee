import { describe, expect, it } from 'vitest'
import { tsne, usablePerplexity } from '../../src/analysis/index.js'
import { jointAffinities } from '../../src/analysis/tsne.js'
import { seededRandom } from '../../src/numeric/random.js'

/** Squared distances of points around `clusters` centres far from each other. */
function clustered(perCluster: number, clusters: number, seed: number): { squared: Float64Array; labels: number[] } {
  const random = seededRandom(seed)
  const labels = Array.from({ length: perCluster * clusters }, (_, i) => i % clusters)
  const points = labels.map((label) => Array.from({ length: 5 }, (_, d) => random() + (d === label ? 8 : 0)))
  const squared = points.flatMap((a) => points.map((b) => a.reduce((sum, v, d) => sum + (v - b[d]!) ** 2, 0)))
  return { squared: Float64Array.from(squared), labels }
}

describe('t-SNE', () => {
  it('gives the same picture for the same seed, to the last bit, and another for another', () => {
    const { squared } = clustered(5, 3, 1)
    expect(tsne(squared, 15, { seed: 3 })).toEqual(tsne(squared, 15, { seed: 3 }))
    expect(tsne(squared, 15, { seed: 3 })).not.toEqual(tsne(squared, 15, { seed: 4 }))
  })

  it('puts the nearest neighbour of every point into its own cluster', () => {
    for (const [perCluster, clusters] of [
      [12, 3],
      [3, 2],
    ] as const) {
      const { squared, labels } = clustered(perCluster, clusters, 2)
      const points = tsne(squared, labels.length, { perplexity: 8 })
      labels.forEach((label, i) => {
        const others = labels.map((_, j) => j).filter((j) => j !== i)
        const gap = (j: number) => Math.hypot(points[2 * i]! - points[2 * j]!, points[2 * i + 1]! - points[2 * j + 1]!)
        expect(labels[others.reduce((best, j) => (gap(j) < gap(best) ? j : best))]).toBe(label)
      })
    }
  })

  it('affinities: symmetric, sum to 1, each row with the entropy of the perplexity', () => {
    const { squared } = clustered(8, 3, 4)
    const joint = jointAffinities(squared, 24, 5)
    expect(joint.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 9)
    for (let i = 0; i < 24; i++) for (let j = 0; j < 24; j++) expect(joint[i * 24 + j]).toBe(joint[j * 24 + i])
    expect(perplexities(squared, 24, joint)).toBeLessThan(1e-3)
  })

  it('follows the textbook, step by step', () => {
    const { squared, labels } = clustered(4, 2, 5)
    const size = labels.length
    for (const iterations of [1, 10, 260]) {
      const fast = tsne(squared, size, { perplexity: 2, seed: 9, iterations })
      const slow = textbook(squared, size, 2, 9, iterations)
      fast.forEach((value, k) => expect(value).toBeCloseTo(slow[Math.floor(k / 2)]![k % 2]!, 3))
    }
  })

  it('lives with one point, two points, equal points, and too large a perplexity', () => {
    expect(usablePerplexity(20, 24)).toBeCloseTo(23 / 3, 12)
    expect(usablePerplexity(30, 1000)).toBe(30)
    for (const size of [1, 2, 3, 6]) {
      const points = tsne(new Float64Array(size * size), size, { perplexity: 50, iterations: 50 })
      expect(points.every(Number.isFinite)).toBe(true)
    }
  })
})

/** Largest departure of a row's perplexity from 5, of rows solved anew by plain search over widths. */
function perplexities(squared: Float64Array, size: number, joint: Float64Array): number {
  let worst = 0
  const conditional = Array.from({ length: size }, (_, i) => searchedRow(squared, size, i, 5))
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const expected = (conditional[i]![j]! + conditional[j]![i]!) / (2 * size)
      worst = Math.max(worst, Math.abs(expected - joint[i * size + j]!) * size)
    }
  }
  return worst
}

/** The Gaussian row whose entropy is that of `perplexity` neighbours, by bisection on the logarithm of its precision. */
function searchedRow(squared: ArrayLike<number>, size: number, i: number, perplexity: number): number[] {
  let [low, high] = [-30, 30]
  let row: number[] = []
  for (let turn = 0; turn < 200; turn++) {
    const precision = Math.exp((low + high) / 2)
    const nearest = Math.min(...Array.from({ length: size }, (_, j) => (j === i ? Infinity : squared[i * size + j]!)))
    const weights = Array.from({ length: size }, (_, j) =>
      j === i ? 0 : Math.exp(-precision * (squared[i * size + j]! - nearest)),
    )
    const total = weights.reduce((a, b) => a + b)
    row = weights.map((weight) => weight / total)
    const entropy = -row.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0)
    if (entropy > Math.log(perplexity)) low = (low + high) / 2
    else high = (low + high) / 2
  }
  return row
}

/** t-SNE with nested arrays and no shortcuts: van der Maaten and Hinton, algorithm 1, with its gains and exaggeration. */
function textbook(
  squared: Float64Array,
  size: number,
  perplexity: number,
  seed: number,
  iterations: number,
): number[][] {
  const rows = Array.from({ length: size }, (_, i) => searchedRow(squared, size, i, perplexity))
  const p = rows.map((row, i) => row.map((value, j) => (value + rows[j]![i]!) / (2 * size)))
  const random = seededRandom(seed)
  let y = rows.map(() => {
    const radius = 1e-4 * Math.sqrt(-2 * Math.log(1 - random()))
    const angle = 2 * Math.PI * random()
    return [radius * Math.cos(angle), radius * Math.sin(angle)]
  })
  let velocity = y.map(() => [0, 0])
  let gains = y.map(() => [1, 1])
  for (let step = 0; step < iterations; step++) {
    const w = y.map((a, i) => y.map((b, j) => (i === j ? 0 : 1 / (1 + (a[0]! - b[0]!) ** 2 + (a[1]! - b[1]!) ** 2))))
    const z = w.flat().reduce((a, b) => a + b)
    const factor = step < 250 ? 12 : 1
    const gradient = y.map((a, i) =>
      [0, 1].map(
        (d) => 4 * y.reduce((sum, b, j) => sum + (factor * p[i]![j]! - w[i]![j]! / z) * w[i]![j]! * (a[d]! - b[d]!), 0),
      ),
    )
    gains = gains.map((row, i) =>
      row.map((gain, d) => Math.max(0.01, gradient[i]![d]! > 0 === velocity[i]![d]! > 0 ? gain * 0.8 : gain + 0.2)),
    )
    velocity = velocity.map((row, i) =>
      row.map((v, d) => (step < 250 ? 0.5 : 0.8) * v - (size / 48) * gains[i]![d]! * gradient[i]![d]!),
    )
    const moved = y.map((row, i) => row.map((value, d) => value + velocity[i]![d]!))
    const mean = [0, 1].map((d) => moved.reduce((sum, row) => sum + row[d]!, 0) / size)
    y = moved.map((row) => row.map((value, d) => value - mean[d]!))
  }
  return y
}
