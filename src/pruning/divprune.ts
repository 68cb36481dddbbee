import { raiseTo } from '../numeric/largest.js'
import { unitRows } from '../numeric/row-matrix.js'
import { similarities, type Similarities } from '../numeric/similarities.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

/**
 * DivPrune (https://arxiv.org/abs/2503.02175): the most diverse tokens by max-min distance, distance = 1 - cosine of the
 * features. It starts with the token whose nearest neighbour is farthest and then adds the token farthest from the chosen.
 *
 * O(N^2 D). Original code: non-commercial licence; this is written from the formula.
 */
export function divprune(): Pruner {
  const needs = ['features'] as const
  return {
    name: 'divprune',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const unit = unitRows(input.features as ArrayLike<number>, numTokens)
      return selectionOfIndices(farthestFirst(similarities(unit), keep))
    },
  }
}

/** Indices in the order of choice; of equally far tokens the lower index wins. */
export function farthestFirst(cosines: Similarities, keep: number): Uint32Array {
  // Similarity to the nearest chosen token; before the first choice, to the nearest other token.
  const nearest = nearestOthers(cosines)
  const taken = new Uint8Array(cosines.size)
  const order = new Uint32Array(keep)
  for (let step = 0; step < keep; step++) {
    const chosen = leastSimilar(nearest, taken)
    order[step] = chosen
    taken[chosen] = 1
    if (step === 0) nearest.set(cosines.row(chosen))
    else raiseTo(nearest, cosines.row(chosen))
  }
  return order
}

function nearestOthers(cosines: Similarities): Float32Array {
  const nearest = new Float32Array(cosines.size)
  for (let i = 0; i < cosines.size; i++) {
    const row = cosines.row(i)
    let best = -Infinity
    for (let j = 0; j < row.length; j++) if (j !== i && (row[j] as number) > best) best = row[j] as number
    nearest[i] = best
  }
  return nearest
}

function leastSimilar(nearest: Float32Array, taken: Uint8Array): number {
  let best = -1
  let least = Infinity
  for (let i = 0; i < nearest.length; i++) {
    if (taken[i] !== 0 || (nearest[i] as number) >= least) continue
    least = nearest[i] as number
    best = i
  }
  return best
}
