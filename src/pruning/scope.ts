import { withArena } from '../numeric/arena.js'
import { lazyIndexOfLargest, raiseTo } from '../numeric/largest.js'
import { floatsOfMatrix, loadUnitRows } from '../numeric/rows.js'
import { floatsOfVisit, positiveProducts, type Products } from '../numeric/similarities.js'
import { checkInput } from './input.js'
import { selectionOfAll, selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

/**
 * SCOPE (https://arxiv.org/abs/2510.24214): repeatedly the token with the largest gain in coverage times its saliency,
 * `gain(j) = clsScores[j] x sum over i of max(0, cos(i, j) - covered[i])`, where `covered[i]` is the largest similarity of
 * token i to the chosen ones, 0 before the first.
 *
 * O(N^2 D) time. Similarities are kept: 4 N^2 bytes, and 2 N^2 of more than 4096 tokens, in 16 bits. Original code: no licence;
 * this is written from the formula.
 */
export function scope(): Pruner {
  const needs = ['clsScores', 'features'] as const
  return {
    name: 'scope',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      if (keep === numTokens) return selectionOfAll(numTokens)
      const features = input.features as ArrayLike<number>
      const saliency = new Float64Array(input.clsScores as ArrayLike<number>)
      return withArena(floatsOfMatrix(features, numTokens) + floatsOfVisit(), (arena) => {
        const unit = loadUnitRows(arena, features, numTokens)
        return selectionOfIndices(coverGreedily(positiveProducts(arena, unit), saliency, keep))
      })
    },
  }
}

/**
 * Indices in the order of choice; of equal gains the lower index wins.
 *
 * Gains only shrink while tokens are chosen, so a stale gain is an upper bound: a token is looked at again only while its
 * bound leads.
 */
export function coverGreedily(similarities: Products, saliency: Float64Array, keep: number): Uint32Array {
  const size = saliency.length
  const rowOf = (i: number) => similarities.subarray(i * size, (i + 1) * size)
  const covered = similarities.slice(0, size).fill(0)
  const gains = new Float64Array(size).fill(Infinity)
  const order = new Uint32Array(keep)
  for (let step = 0; step < keep; step++) {
    const chosen = lazyIndexOfLargest(gains, (j) => {
      gains[j] = (saliency[j] as number) * coverageGain(rowOf(j), covered)
    })
    order[step] = chosen
    gains[chosen] = -Infinity
    raiseTo(covered, rowOf(chosen))
    releaseNegative(gains, saliency)
  }
  return order
}

function coverageGain(row: Products, covered: Products): number {
  let gain = 0
  for (let i = 0; i < row.length; i++) {
    const more = (row[i] as number) - (covered[i] as number)
    if (more > 0) gain += more
  }
  return gain
}

/** The gain of a negative saliency grows towards 0 as coverage grows: 0 is then its only lasting bound. */
function releaseNegative(gains: Float64Array, saliency: Float64Array): void {
  for (let i = 0; i < gains.length; i++) {
    if ((saliency[i] as number) < 0 && gains[i] !== -Infinity) gains[i] = 0
  }
}
