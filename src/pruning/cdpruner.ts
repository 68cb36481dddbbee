import { floatsOfRows, rowOf, withArena, type Arena, type Rows } from '../numeric/arena.js'
import { lazyIndexOfLargest } from '../numeric/largest.js'
import { floatsOfMatrix, loadUnitRows, scaleToUnit, sumOfSquares } from '../numeric/rows.js'
import { checkSign } from './hiprune-plus-plus.js'
import { checkInput } from './input.js'
import { selectionOfAll, selectionOfIndices } from './selection.js'
import type { Pruner } from './types.js'

export interface CDPrunerOptions {
  /** -1 (default, as the original) favours tokens unlike the question in embedding space, 1 the similar ones. */
  readonly sign?: 1 | -1
}

/**
 * CDPruner (https://arxiv.org/abs/2506.10967): greedy MAP of a determinantal point process with the kernel
 * `r[i] cos(i, j) r[j]`, r = (s - min s + 1e-6) / (max s - min s) of s = sign x relevance.
 *
 * The greedy step keeps the token with the longest part outside of the span of the chosen ones, so it is done as
 * Gram-Schmidt on the rows `r[i] unit(features[i])`, without the N x N kernel: O(N K D). Once the rows' rank is used up,
 * which the original leaves to rounding noise, the rest goes by r.
 *
 * Original code: Apache-2.0.
 */
export function cdpruner(options: CDPrunerOptions = {}): Pruner {
  const { sign = -1 } = options
  checkSign(sign)
  const needs = ['features', 'relevance'] as const
  return {
    name: 'cdpruner',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      if (keep === numTokens) return selectionOfAll(numTokens)
      const quality = qualities(input.relevance as ArrayLike<number>, sign)
      const features = input.features as ArrayLike<number>
      const basisFloats = floatsOfRows(keep, features.length / numTokens)
      return withArena(floatsOfMatrix(features, numTokens) + basisFloats + keep, (arena) =>
        selectionOfIndices(spanGreedily(arena, loadUnitRows(arena, features, numTokens), quality, keep)),
      )
    },
  }
}

/** `[N]` r of the kernel, about 0 to 1; 1 everywhere when no token is more relevant than another. */
export function qualities(relevance: ArrayLike<number>, sign: 1 | -1): Float64Array {
  let least = Infinity
  let most = -Infinity
  for (let i = 0; i < relevance.length; i++) {
    least = Math.min(least, sign * (relevance[i] as number))
    most = Math.max(most, sign * (relevance[i] as number))
  }
  const quality = new Float64Array(relevance.length).fill(1)
  if (most === least) return quality
  for (let i = 0; i < quality.length; i++) {
    quality[i] = (sign * (relevance[i] as number) - least + 1e-6) / (most - least)
  }
  return quality
}

/** Below this share of its own squared length, what is left of a row is rounding error of float32. */
const SPENT = 1e-5

/**
 * Indices in the order of choice; of equal determinants the lower index wins.
 *
 * What is left of a row only shrinks, so a stale gain is an upper bound: a row is brought up to date only when its bound leads.
 */
export function spanGreedily(arena: Arena, unit: Rows, quality: Float64Array, keep: number): Uint32Array {
  const order = new Uint32Array(keep)
  const basis = arena.rows(Math.min(keep, unit.width), unit.width)
  const products = arena.floats(basis.numRows)
  const left = squaredLengths(unit)
  const gains = left.map((rest, i) => gainOf(rest, quality[i] as number))
  const reduced = new Uint32Array(unit.numRows)
  let rank = 0
  for (let step = 0; step < keep; step++) {
    const chosen = lazyIndexOfLargest(gains, (i) => {
      const from = reduced[i] as number
      arena.dots(rowOf(unit, i), basis, from, rank - from, products)
      left[i] = (left[i] as number) - sumOfSquares(products.subarray(0, rank - from))
      gains[i] = gainOf(left[i] as number, quality[i] as number)
      reduced[i] = rank
    })
    order[step] = chosen
    gains[chosen] = -Infinity
    if ((left[chosen] as number) > SPENT && rank < basis.numRows)
      addDirection(arena, basis, rank++, rowOf(unit, chosen), products)
  }
  return order
}

/** Growth of the determinant; where nothing is left of a row, its quality, ranked below everything that grows it. */
function gainOf(rest: number, quality: number): number {
  return rest > SPENT ? quality * quality * rest : quality - QUALITY_BELOW_GAINS
}

/** Qualities are at most about 1, so that these stay negative. */
const QUALITY_BELOW_GAINS = 10

function squaredLengths(rows: Rows): Float64Array {
  return new Float64Array(rows.numRows).map((_, i) => sumOfSquares(rowOf(rows, i)))
}

/** Makes `basis` one row longer: the part of `row` outside of it, at length 1. */
function addDirection(arena: Arena, basis: Rows, rank: number, row: Float32Array, products: Float32Array): void {
  const direction = rowOf(basis, rank)
  direction.set(row)
  const before = sumOfSquares(direction)
  const factors = products.subarray(0, rank)
  subtractProjections(arena, direction, basis, factors)
  // Gram-Schmidt leaves float32's error of the whole row; where little of it is left, that shows, and a second pass mends it.
  if (sumOfSquares(direction) < 0.01 * before) subtractProjections(arena, direction, basis, factors)
  scaleToUnit(direction)
}

/** Rows that are added at a time: addRows goes through them once for every eight columns, so they have to stay in the cache. */
const BLOCK_ROWS = 32

function subtractProjections(arena: Arena, direction: Float32Array, basis: Rows, factors: Float32Array): void {
  arena.dots(direction, basis, 0, factors.length, factors)
  for (let k = 0; k < factors.length; k++) factors[k] = -(factors[k] as number)
  for (let from = 0; from < factors.length; from += BLOCK_ROWS) {
    arena.addRows(direction, factors.subarray(from, from + BLOCK_ROWS), basis, from)
  }
}
