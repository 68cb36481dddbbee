import { seededRandom } from '../numeric/random.js'
import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

export interface RandomOptions {
  /** Used when the input carries no seed of its own. Default 0. */
  readonly seed?: number
}

/** Uniformly random tokens under a seed: the baseline that a method has to beat. Needs nothing. O(N). */
export function random(options: RandomOptions = {}): Pruner {
  return {
    name: 'random',
    needs: [],
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, [])
      const next = seededRandom(input.seed ?? options.seed ?? 0)
      const draws = Float64Array.from({ length: numTokens }, next)
      return selectionOfIndices(topSet(draws, keep))
    },
  }
}
