import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

/**
 * The top K of the CLS token's attention in the deep layer (FasterVLM, https://arxiv.org/abs/2412.01818 v1). For encoders
 * without a CLS token the caller hands in the deep layer's received attention as `clsScores`.
 *
 * O(N). Original code: Apache-2.0.
 */
export function clsAttention(): Pruner {
  const needs = ['clsScores'] as const
  return {
    name: 'cls-attention',
    needs,
    select(input, budget) {
      const { keep } = checkInput(input, budget, needs)
      return selectionOfIndices(topSet(input.clsScores as ArrayLike<number>, keep))
    },
  }
}
