import { ArgumentError } from '../errors.js'
import { rowMatrix } from '../numeric/row-matrix.js'
import { centredRows, dominantSubspace, squaredResiduals } from '../numeric/subspace.js'
import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

export interface LrcpOptions {
  /** Dimensions of the background subspace, at most half of the tokens. Default 16. */
  readonly rank?: number
}

/**
 * LRCP (https://arxiv.org/abs/2605.15621): the tokens that a low-rank subspace of all tokens explains worst, by the length
 * of their residual. **A reconstruction** from the paper's abstract, which names PCA and the residual but no rank: centred
 * PCA of rank 16, residuals not normalised.
 *
 * O(N D rank). Original code: none published.
 */
export function lrcp(options: LrcpOptions = {}): Pruner {
  const { rank = 16 } = options
  if (!Number.isSafeInteger(rank) || rank < 1) throw new ArgumentError('rank', rank, 'a count from 1')
  const needs = ['features'] as const
  return {
    name: 'lrcp',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const centred = centredRows(rowMatrix(input.features as ArrayLike<number>, numTokens))
      // A subspace that holds every token leaves only rounding errors to rank by.
      const usable = Math.min(rank, Math.floor(Math.min(numTokens, centred.width) / 2))
      return selectionOfIndices(topSet(squaredResiduals(centred, dominantSubspace(centred, usable)), keep))
    },
  }
}
