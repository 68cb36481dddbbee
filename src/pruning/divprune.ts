import { floatsOfRows, rowOf, withArena, type Arena, type Rows } from '../numeric/arena.js'
import { indexOfLargest, largestOf, lazyIndexOfLargest } from '../numeric/largest.js'
import { floatsOfMatrix, loadUnitRows } from '../numeric/rows.js'
import { floatsOfVisit, nearestOthers } from '../numeric/similarities.js'
import { checkInput } from './input.js'
import { selectionOfAll, selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

/**
 * DivPrune (https://arxiv.org/abs/2503.02175): the most diverse tokens by max-min distance, distance = 1 - cosine of the
 * features. It starts with the token whose nearest neighbour is farthest and then adds the token farthest from the chosen.
 *
 * O(N^2 D) time for the first token, at most O(N K D) for the others; O(N D) memory. Original code: non-commercial licence;
 * this is written from the formula.
 */
export function divprune(): Pruner {
  const needs = ['features'] as const
  return {
    name: 'divprune',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      if (keep === numTokens) return selectionOfAll(numTokens)
      const features = input.features as ArrayLike<number>
      const chosenFloats = floatsOfRows(keep, features.length / numTokens)
      return withArena(floatsOfMatrix(features, numTokens) + chosenFloats + keep + floatsOfVisit(), (arena) =>
        selectionOfIndices(farthestFirst(arena, loadUnitRows(arena, features, numTokens), keep)),
      )
    },
  }
}

/**
 * Indices in the order of choice; of equally far tokens the lower index wins.
 *
 * The distance to the nearest chosen token only shrinks, so a stale one is an upper bound: a token is compared with the latest
 * chosen ones only when its bound leads.
 */
export function farthestFirst(arena: Arena, unit: Rows, keep: number): Uint32Array {
  const order = new Uint32Array(keep)
  const chosen = arena.rows(keep, unit.width)
  const products = arena.floats(keep)
  const compared = new Uint32Array(unit.numRows)
  const isolation = negated(nearestOthers(arena, unit))
  order[0] = indexOfLargest(isolation)
  const distances = isolation.fill(Infinity)
  for (let step = 1; step < keep; step++) {
    const latest = order[step - 1] as number
    chosen.values.set(rowOf(unit, latest), (step - 1) * unit.width)
    distances[latest] = -Infinity
    order[step] = lazyIndexOfLargest(distances, (i) => {
      const from = compared[i] as number
      arena.dots(rowOf(unit, i), chosen, from, step - from, products)
      distances[i] = Math.min(distances[i] as number, -largestOf(products, step - from))
      compared[i] = step
    })
  }
  return order
}

function negated(values: Float32Array): Float64Array {
  const result = new Float64Array(values.length)
  for (let i = 0; i < values.length; i++) result[i] = -(values[i] as number)
  return result
}
