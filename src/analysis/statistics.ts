import { seededRandom } from '../numeric/random.js'

/** What a {@link RowStatistics} knows, as plain numbers; reading it back gives the same results to the last bit. */
export interface RowStatisticsState {
  readonly count: number
  readonly sums: number[]
  readonly squares: number[]
  readonly weights: number[]
  readonly replicates: number[][]
}

/**
 * Mean and bootstrap of rows of numbers that come one at a time: memory does not depend on how many come. A bootstrap sample of
 * n rows holds each row about Poisson(1) times, so each sample adds a row that many times as it passes (the online bootstrap).
 */
export class RowStatistics {
  count = 0
  private readonly sums: Float64Array
  private readonly squares: Float64Array
  private readonly weights: Float64Array
  private readonly replicates: readonly Float64Array[]

  /**
   * @param length Numbers in a row.
   * @param numReplicates Bootstrap samples.
   */
  constructor(
    length: number,
    numReplicates: number,
    private readonly seed: number,
  ) {
    this.sums = new Float64Array(length)
    this.squares = new Float64Array(length)
    this.weights = new Float64Array(numReplicates)
    this.replicates = Array.from({ length: numReplicates }, () => new Float64Array(length))
  }

  /** @param index Number of the row among all, so that rows keep their weights when a study is resumed. */
  add(row: ArrayLike<number>, index: number): void {
    addRow(this.sums, row, 1)
    for (let i = 0; i < this.squares.length; i++) {
      this.squares[i] = (this.squares[i] as number) + (row[i] as number) ** 2
    }
    const random = seededRandom(Math.imul(this.seed + 1, 0x9e3779b1) ^ index)
    for (let sample = 0; sample < this.replicates.length; sample++) {
      const weight = poisson(random())
      this.weights[sample] = (this.weights[sample] as number) + weight
      if (weight > 0) addRow(this.replicates[sample] as Float64Array, row, weight)
    }
    this.count++
  }

  mean(): Float64Array {
    return this.sums.map((sum) => sum / this.count)
  }

  /** Standard deviation over rows. */
  deviation(): Float64Array {
    const mean = this.mean()
    return this.squares.map((sum, i) => Math.sqrt(Math.max(0, sum / this.count - (mean[i] as number) ** 2)))
  }

  /** The mean of every bootstrap sample that holds any row. */
  replicateMeans(): Float64Array[] {
    return this.replicates.flatMap((sums, sample) => {
      const weight = this.weights[sample] as number
      return weight > 0 ? [sums.map((sum) => sum / weight)] : []
    })
  }

  toJSON(): RowStatisticsState {
    const { count, sums, squares, weights, replicates } = this
    return {
      count,
      sums: [...sums],
      squares: [...squares],
      weights: [...weights],
      replicates: replicates.map((row) => [...row]),
    }
  }

  restore(state: RowStatisticsState): void {
    this.count = state.count
    this.sums.set(state.sums)
    this.squares.set(state.squares)
    this.weights.set(state.weights)
    this.replicates.forEach((row, sample) => row.set(state.replicates[sample] as number[]))
  }
}

/** The middle `share` of values as [low, high], by linear interpolation; NaN without values. */
export function intervalOf(values: readonly number[], share = 0.95): [number, number] {
  const sorted = [...values].sort((a, b) => a - b)
  return [quantile(sorted, (1 - share) / 2), quantile(sorted, (1 + share) / 2)]
}

function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1)
  const low = sorted[Math.floor(at)] ?? NaN
  const high = sorted[Math.ceil(at)] ?? NaN
  return low + (high - low) * (at - Math.floor(at))
}

function addRow(sums: Float64Array, row: ArrayLike<number>, weight: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + weight * (row[i] as number)
}

/** A Poisson(1) number from a uniform one. */
function poisson(uniform: number): number {
  let probability = Math.exp(-1)
  let cumulative = probability
  let value = 0
  while (uniform > cumulative && value < 20) {
    probability /= ++value
    cumulative += probability
  }
  return value
}
