import { ArgumentError } from '../errors.js'
import { withArena } from '../numeric/arena.js'
import { floatsOfMatrix, loadRows } from '../numeric/rows.js'
import { centreRows, dominantSubspace, floatsOfSubspace, squaredResiduals } from '../numeric/subspace.js'
import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfAll, selectionOfIndices } from './selection.js'
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
      if (keep === numTokens) return selectionOfAll(numTokens)
      const features = input.features as ArrayLike<number>
      const size = features.length / numTokens
      // A subspace that holds every token leaves only rounding errors to rank by.
      const usable = Math.min(rank, Math.floor(Math.min(numTokens, size) / 2))
      const numFloats = floatsOfMatrix(features, numTokens) + floatsOfSubspace(size, usable) + usable
      return withArena(numFloats, (arena) => {
        const rows = loadRows(arena, features, numTokens)
        centreRows(rows)
        const background = dominantSubspace(arena, rows, size, usable)
        return selectionOfIndices(topSet(squaredResiduals(arena, rows, background), keep))
      })
    },
  }
}
