import { indexOfLargest, raiseTo } from '../numeric/largest.js'
import { unitRows } from '../numeric/row-matrix.js'
import { similarities, type Similarities } from '../numeric/similarities.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

/**
 * SCOPE (https://arxiv.org/abs/2510.24214): repeatedly the token with the largest gain in coverage times its saliency,
 * `gain(j) = clsScores[j] x sum over i of max(0, cos(i, j) - covered[i])`, where `covered[i]` is the largest similarity of
 * token i to the chosen ones, 0 before the first.
 *
 * O(N^2 D) for the similarities. Original code: no licence; this is written from the formula.
 */
export function scope(): Pruner {
  const needs = ['clsScores', 'features'] as const
  return {
    name: 'scope',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const unit = unitRows(input.features as ArrayLike<number>, numTokens)
      return selectionOfIndices(coverGreedily(similarities(unit), input.clsScores as ArrayLike<number>, keep))
    },
  }
}

/**
 * Indices in the order of choice; of equal gains the lower index wins.
 *
 * Gains only shrink while tokens are chosen, so that last round's gain is an upper bound: a token is looked at again only
 * while its bound leads. The choice is the same, sum for sum, as when every gain is computed in every round.
 */
export function coverGreedily(cosines: Similarities, saliency: ArrayLike<number>, keep: number): Uint32Array {
  const covered = new Float32Array(cosines.size)
  const bounds = new Float64Array(cosines.size).fill(Infinity)
  const order = new Uint32Array(keep)
  const round = new Int32Array(cosines.size).fill(-1)
  for (let step = 0; step < keep; step++) {
    let leader = indexOfLargest(bounds)
    while (round[leader] !== step) {
      bounds[leader] = (saliency[leader] as number) * coverageGain(cosines.row(leader), covered)
      round[leader] = step
      leader = indexOfLargest(bounds)
    }
    order[step] = leader
    bounds[leader] = -Infinity
    raiseTo(covered, cosines.row(leader))
    releaseNegative(bounds, saliency)
  }
  return order
}

function coverageGain(row: Float32Array, covered: Float32Array): number {
  let gain = 0
  for (let i = 0; i < row.length; i++) {
    const more = (row[i] as number) - (covered[i] as number)
    if (more > 0) gain += more
  }
  return gain
}

/** The gain of a negative saliency grows towards 0 as coverage grows: 0 is then its only lasting bound. */
function releaseNegative(bounds: Float64Array, saliency: ArrayLike<number>): void {
  for (let i = 0; i < bounds.length; i++) {
    if ((saliency[i] as number) < 0 && bounds[i] !== -Infinity) bounds[i] = 0
  }
}
