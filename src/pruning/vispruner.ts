import { ArgumentError } from '../errors.js'
import { withArena, type Arena, type Rows } from '../numeric/arena.js'
import { neighbours, floatsOfNeighbours } from '../numeric/neighbours.js'
import { floatsOfMatrix, gatherRows, loadUnitRows } from '../numeric/rows.js'
import { floatsOfVisit } from '../numeric/similarities.js'
import { topK } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import { selectionOfAll, selectionOfIndices } from './selection.js'
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
 * O(N^2 D) time, O(N D) memory. Original code: Apache-2.0.
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
      if (keep === numTokens) return selectionOfAll(numTokens)
      const features = input.features as ArrayLike<number>
      const ranked = topK(input.clsScores as ArrayLike<number>, numTokens)
      const important = Math.floor(keep * importantRatio)
      const rest = ranked.subarray(important)
      const numFloats = 2 * floatsOfMatrix(features, numTokens) + floatsOfNeighbours(numTokens) + floatsOfVisit()
      const places = withArena(numFloats, (arena) => {
        const unit = gatherRows(arena, loadUnitRows(arena, features, numTokens), rest)
        return dropDuplicates(arena, unit, keep - important)
      })
      return selectionOfIndices([...ranked.subarray(0, important), ...places.map((place) => rest[place] as number)])
    },
  }
}

/** The `keep` rows that stay; the rows are in descending order of attention. */
export function dropDuplicates(arena: Arena, unit: Rows, keep: number): Uint32Array {
  let rest = Uint32Array.from({ length: unit.numRows }, (_, i) => i)
  if (rest.length === keep) return rest
  const groups = new Uint8Array(unit.numRows)
  const similar = neighbours(arena, unit, groups)
  while (rest.length > keep) {
    const evens = everySecond(rest, 0)
    const odds = everySecond(rest, 1)
    groups.fill(GONE)
    for (const row of evens) groups[row] = EVEN
    for (const row of odds) groups[row] = ODD
    const duplication = Float32Array.from(evens, (row) => similar.largest(row, ODD))
    const order = topK(duplication, evens.length).subarray(Math.min(DROPPED_PER_ROUND, rest.length - keep))
    // The next round's places depend on this order: the even ones by descending similarity, then the odd ones.
    rest = Uint32Array.from([...order.map((place) => evens[place] as number), ...odds])
  }
  return rest
}

const GONE = 0
const EVEN = 1
const ODD = 2

function everySecond(values: Uint32Array, first: number): Uint32Array {
  return values.filter((_, place) => place % 2 === first)
}
