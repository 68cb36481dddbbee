import { rowOf, withArena, type Arena, type Rows } from '../numeric/arena.js'
import { lazyIndexOfLargest, raiseTo } from '../numeric/largest.js'
import { floatsOfMatrix, loadUnitRows } from '../numeric/rows.js'
import { allProducts, floatsOfVisit } from '../numeric/similarities.js'
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
      const features = input.features as ArrayLike<number>
      const saliency = new Float64Array(input.clsScores as ArrayLike<number>)
      return withArena(floatsOfMatrix(features, numTokens) + numTokens + floatsOfVisit(), (arena) => {
        const unit = loadUnitRows(arena, features, numTokens)
        return selectionOfIndices(coverGreedily(rowSource(arena, unit), saliency, keep))
      })
    },
  }
}

/** Similarities of one token with all, in a buffer that the next call may overwrite. */
type RowSource = (i: number) => Float32Array

function rowSource(arena: Arena, unit: Rows): RowSource {
  const size = unit.numRows
  if (size <= 4096) {
    const all = allProducts(arena, unit)
    return (i) => all.subarray(i * size, (i + 1) * size)
  }
  const out = arena.floats(size)
  return (i) => {
    arena.dots(rowOf(unit, i), unit, 0, size, out)
    return out
  }
}

/**
 * Indices in the order of choice; of equal gains the lower index wins.
 *
 * Gains only shrink while tokens are chosen, so a stale gain is an upper bound: a token is looked at again only while its
 * bound leads.
 */
export function coverGreedily(similarities: RowSource, saliency: Float64Array, keep: number): Uint32Array {
  const covered = new Float32Array(saliency.length)
  const gains = new Float64Array(saliency.length).fill(Infinity)
  const order = new Uint32Array(keep)
  for (let step = 0; step < keep; step++) {
    const chosen = lazyIndexOfLargest(gains, (j) => {
      gains[j] = (saliency[j] as number) * coverageGain(similarities(j), covered)
    })
    order[step] = chosen
    gains[chosen] = -Infinity
    raiseTo(covered, similarities(chosen))
    releaseNegative(gains, saliency)
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
function releaseNegative(gains: Float64Array, saliency: Float64Array): void {
  for (let i = 0; i < gains.length; i++) {
    if ((saliency[i] as number) < 0 && gains[i] !== -Infinity) gains[i] = 0
  }
}
