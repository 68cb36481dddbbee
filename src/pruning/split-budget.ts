import { ArgumentError } from '../errors.js'

/**
 * How several grids (tiles, frames, images) divide tokens: 'even', the paper's; 'complexity', an image's tiles or a video's
 * frames by how busy each is; 'shared', the same over all images of a call or a batch together.
 */
export type BudgetSplit = 'even' | 'complexity' | 'shared'

/** @throws ArgumentError on anything else. */
export function checkSplit(split: unknown): BudgetSplit {
  if (split === 'even' || split === 'complexity' || split === 'shared') return split
  throw new ArgumentError('split', split, "'even', 'complexity' or 'shared'")
}

/** floor(total / grids) each and never less than 1: up to grids - 1 tokens of the total stay unused (SPEC 4). */
export function splitEvenly(total: number, grids: number): number[] {
  return Array<number>(grids).fill(Math.max(1, Math.floor(total / grids)))
}

/**
 * Divides `total` tokens in proportion to the grids' weights: largest remainder, the lower index on ties, at least 1 and at
 * most all tokens of each grid. The sum is exactly `total`, unless that is fewer than one a grid or more than there are.
 *
 * @param weights How much each grid wants, above 0, e.g. {@link complexityOf}.
 * @param sizes Tokens that each grid has.
 * @throws ArgumentError for weights that are not positive numbers, or another number of them.
 */
export function splitByWeight(total: number, weights: readonly number[], sizes: readonly number[]): number[] {
  if (weights.length !== sizes.length || !weights.every((weight) => weight > 0 && weight < Infinity))
    throw new ArgumentError('weights', weights, `${sizes.length} positive numbers`)
  const available = sizes.reduce((sum, size) => sum + size, 0)
  const wanted = Math.min(Math.max(total, sizes.length), available)
  const shares = boundedShares(wanted, weights, sizes)
  const counts = shares.map(Math.floor)
  let missing = wanted - counts.reduce((sum, count) => sum + count, 0)
  const remainder = (i: number) => (shares[i] as number) - Math.floor(shares[i] as number)
  const order = [...shares.keys()].sort((a, b) => remainder(b) - remainder(a) || a - b)
  // One round is enough, unless rounding in the shares left out more than one token a grid.
  for (let turn = 0; missing > 0; turn++) {
    const i = order[turn % order.length] as number
    if ((counts[i] as number) >= (sizes[i] as number)) continue
    counts[i] = (counts[i] as number) + 1
    missing--
  }
  return counts
}

/** Real numbers between 1 and each size, in proportion to the weights where neither bound holds, that sum to `total`. */
function boundedShares(total: number, weights: readonly number[], sizes: readonly number[]): number[] {
  const at = (scale: number) => weights.map((weight, i) => Math.min(Math.max(scale * weight, 1), sizes[i] as number))
  const sumAt = (scale: number) => at(scale).reduce((sum, share) => sum + share, 0)
  // The sum grows with the scale and bends only where a grid leaves its lower or reaches its upper bound.
  const bends = weights.flatMap((weight, i) => [1 / weight, (sizes[i] as number) / weight]).sort((a, b) => a - b)
  const next = bends.findIndex((scale) => sumAt(scale) >= total)
  if (next === -1) return [...sizes]
  if (next === 0) return at(bends[0] as number)
  const [low, high] = [bends[next - 1] as number, bends[next] as number]
  const [below, above] = [sumAt(low), sumAt(high)]
  const shares = at(above > below ? low + ((high - low) * (total - below)) / (above - below) : high)
  // What rounding in the scale leaves of a whole number counts as one.
  return shares.map((share) => (Math.abs(share - Math.round(share)) < 1e-9 ? Math.round(share) : share))
}
