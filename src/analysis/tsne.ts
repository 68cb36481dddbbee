import { seededRandom } from '../numeric/random.js'

export interface TsneOptions {
  /** Effective number of neighbours. Lowered to (N - 1) / 3 where there are too few points. Default 30. */
  readonly perplexity?: number
  /** Default 0: equal seeds give equal pictures. */
  readonly seed?: number
  /** Steps of gradient descent. Default 1000. */
  readonly iterations?: number
}

/** Steps during which attraction is exaggerated, and by how much: clusters form before they spread. */
const EXAGGERATION = { steps: 250, factor: 12 }

/**
 * t-SNE in two dimensions, exact: O(N^2) a step. https://jmlr.org/papers/v9/vandermaaten08a.html
 *
 * @param squaredDistances Row-major `[N, N]`, symmetric.
 * @returns Row-major `[N, 2]`, centred.
 */
export function tsne(squaredDistances: ArrayLike<number>, numPoints: number, options: TsneOptions = {}): Float64Array {
  const { perplexity = 30, seed = 0, iterations = 1000 } = options
  if (numPoints < 2) return new Float64Array(2 * numPoints)
  const affinities = jointAffinities(squaredDistances, numPoints, usablePerplexity(perplexity, numPoints))
  const points = startPoints(numPoints, seed)
  const descent = newDescent(numPoints)
  for (let step = 0; step < iterations; step++) {
    const exaggeration = step < EXAGGERATION.steps ? EXAGGERATION.factor : 1
    gradientOf(points, affinities, exaggeration, descent)
    move(points, descent, step < EXAGGERATION.steps ? 0.5 : 0.8)
  }
  return points
}

/** A perplexity near N has no solution: every point would have to be a neighbour of every other. */
export function usablePerplexity(perplexity: number, numPoints: number): number {
  return Math.max(1, Math.min(perplexity, (numPoints - 1) / 3))
}

/** Symmetric probabilities `[N, N]` that two points are neighbours; they sum to 1. */
export function jointAffinities(squaredDistances: ArrayLike<number>, size: number, perplexity: number): Float64Array {
  const joint = new Float64Array(size * size)
  const row = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    conditionalRow(squaredDistances, size, i, perplexity, row)
    for (let j = 0; j < size; j++) {
      const half = (row[j] as number) / (2 * size)
      joint[i * size + j] = (joint[i * size + j] as number) + half
      joint[j * size + i] = (joint[j * size + i] as number) + half
    }
  }
  return joint
}

/** Bisects the width of a Gaussian around point `i` until its entropy is that of `perplexity` equal neighbours. */
function conditionalRow(squared: ArrayLike<number>, size: number, i: number, perplexity: number, row: Float64Array) {
  const target = Math.log(perplexity)
  let precision = 1 / (meanOfRow(squared, size, i) || 1)
  let [low, high] = [0, Infinity]
  for (let turn = 0; turn < 100; turn++) {
    const entropy = gaussianRow(squared, size, i, precision, row)
    if (Math.abs(entropy - target) < 1e-6) return
    if (entropy > target) low = precision
    else high = precision
    precision = high === Infinity ? precision * 2 : (low + high) / 2
  }
}

/** Writes probabilities in proportion to exp(-precision d^2) and returns their entropy in nats. */
function gaussianRow(
  squared: ArrayLike<number>,
  size: number,
  i: number,
  precision: number,
  row: Float64Array,
): number {
  let nearest = Infinity
  for (let j = 0; j < size; j++) if (j !== i) nearest = Math.min(nearest, squared[i * size + j] as number)
  let [sum, weighted] = [0, 0]
  for (let j = 0; j < size; j++) {
    const beyond = (squared[i * size + j] as number) - nearest
    const weight = j === i ? 0 : Math.exp(-precision * beyond)
    row[j] = weight
    sum += weight
    weighted += weight * (j === i ? 0 : beyond)
  }
  for (let j = 0; j < size; j++) row[j] = (row[j] as number) / sum
  return Math.log(sum) + (precision * weighted) / sum
}

function meanOfRow(values: ArrayLike<number>, size: number, i: number): number {
  let sum = 0
  for (let j = 0; j < size; j++) sum += values[i * size + j] as number
  return sum / Math.max(1, size - 1)
}

/** Gaussian points of size 1e-4, by Box and Muller. */
function startPoints(size: number, seed: number): Float64Array {
  const random = seededRandom(seed)
  const points = new Float64Array(2 * size)
  for (let i = 0; i < size; i++) {
    const radius = 1e-4 * Math.sqrt(-2 * Math.log(1 - random()))
    const angle = 2 * Math.PI * random()
    points[2 * i] = radius * Math.cos(angle)
    points[2 * i + 1] = radius * Math.sin(angle)
  }
  return points
}

interface Descent {
  /** `[N, 2]` */
  readonly gradient: Float64Array
  readonly velocity: Float64Array
  readonly gains: Float64Array
  /** `[N, N]` Student t weights of the current points. */
  readonly weights: Float64Array
  readonly learningRate: number
}

function newDescent(size: number): Descent {
  return {
    gradient: new Float64Array(2 * size),
    velocity: new Float64Array(2 * size),
    gains: new Float64Array(2 * size).fill(1),
    weights: new Float64Array(size * size),
    // Belkina et al. 2019: in proportion to N, so that exaggerated attraction is as stiff for few points as for many.
    learningRate: size / EXAGGERATION.factor / 4,
  }
}

/** Gradient of the Kullback-Leibler divergence: 4 sum_j (p_ij - q_ij) w_ij (y_i - y_j), w = 1 / (1 + |y_i - y_j|^2). */
function gradientOf(points: Float64Array, affinities: Float64Array, exaggeration: number, descent: Descent): void {
  const { gradient, weights } = descent
  const size = points.length / 2
  const total = studentWeights(points, weights)
  for (let i = 0; i < size; i++) {
    let [gradientX, gradientY] = [0, 0]
    const [x, y] = [points[2 * i] as number, points[2 * i + 1] as number]
    for (let j = 0; j < size; j++) {
      const weight = weights[i * size + j] as number
      const pull = (exaggeration * (affinities[i * size + j] as number) - weight / total) * weight
      gradientX += pull * (x - (points[2 * j] as number))
      gradientY += pull * (y - (points[2 * j + 1] as number))
    }
    gradient[2 * i] = 4 * gradientX
    gradient[2 * i + 1] = 4 * gradientY
  }
}

/** Writes w_ij, 0 on the diagonal, and returns their sum. */
function studentWeights(points: Float64Array, weights: Float64Array): number {
  const size = points.length / 2
  let total = 0
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) {
      const dx = (points[2 * i] as number) - (points[2 * j] as number)
      const dy = (points[2 * i + 1] as number) - (points[2 * j + 1] as number)
      const weight = 1 / (1 + dx * dx + dy * dy)
      weights[i * size + j] = weight
      weights[j * size + i] = weight
      total += 2 * weight
    }
  }
  return total
}

/** Momentum and, as in the paper, a gain for each coordinate that grows while its gradient keeps its direction. */
function move(points: Float64Array, { gradient, velocity, gains, learningRate }: Descent, momentum: number): void {
  const mean = [0, 0]
  const size = points.length / 2
  for (let k = 0; k < points.length; k++) {
    const [slope, speed] = [gradient[k] as number, velocity[k] as number]
    const gain = slope > 0 === speed > 0 ? (gains[k] as number) * 0.8 : (gains[k] as number) + 0.2
    gains[k] = Math.max(gain, 0.01)
    velocity[k] = momentum * speed - learningRate * (gains[k] as number) * slope
    points[k] = (points[k] as number) + (velocity[k] as number)
    mean[k % 2] = (mean[k % 2] as number) + (points[k] as number) / size
  }
  for (let k = 0; k < points.length; k++) points[k] = (points[k] as number) - (mean[k % 2] as number)
}
