import { ArgumentError } from '../errors.js'
import { unitRows } from '../numeric/row-matrix.js'
import { similarities, type Similarities } from '../numeric/similarities.js'
import { topK } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

export interface VisPrunerOptions {
  /** Share of the budget that goes by attention alone, 0 to 1. Default 0.5 (the paper's). */
  readonly importantRatio?: number
}

/** Tokens dropped in one round, as in the paper's code. */
const DROPPED_PER_ROUND = 8

/**
 * VisPruner (https://arxiv.org/abs/2412.01818): floor(K / 2) tokens by CLS attention; of the rest, in descending order of
 * attention, duplicates are dropped until K stay. A round splits them into even and odd places and drops the 8 even ones
 * that are most similar to any odd one.
 *
 * O(N^2 D). Original code: Apache-2.0.
 */
export function vispruner(options: VisPrunerOptions = {}): Pruner {
  const { importantRatio = 0.5 } = options
  if (!(importantRatio >= 0 && importantRatio <= 1))
    throw new ArgumentError('importantRatio', importantRatio, 'a number from 0 to 1')
  const needs = ['clsScores', 'features'] as const
  return {
    name: 'vispruner',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const ranked = [...topK(input.clsScores as ArrayLike<number>, numTokens)]
      const important = ranked.splice(0, Math.floor(keep * importantRatio))
      const cosines = similarities(unitRows(input.features as ArrayLike<number>, numTokens))
      return selectionOfIndices([...important, ...dropDuplicates(ranked, keep - important.length, cosines)])
    },
  }
}

/** `keep` of the tokens, which are given in descending order of attention. */
export function dropDuplicates(tokens: readonly number[], keep: number, cosines: Similarities): number[] {
  let rest = [...tokens]
  while (rest.length > keep) {
    const evens = rest.filter((_, place) => place % 2 === 0)
    const odds = rest.filter((_, place) => place % 2 === 1)
    const duplication = Float32Array.from(evens, (token) => largestOf(cosines.row(token), odds))
    const dropped = Math.min(DROPPED_PER_ROUND, rest.length - keep)
    // The next round's places depend on this order: the even ones by descending similarity, then the odd ones.
    const byDuplication = Array.from(topK(duplication, evens.length), (place) => evens[place] as number)
    rest = [...byDuplication.slice(dropped), ...odds]
  }
  return rest
}

function largestOf(row: Float32Array, indices: readonly number[]): number {
  let largest = -Infinity
  for (const index of indices) if ((row[index] as number) > largest) largest = row[index] as number
  return largest
}
