import { dotProducts } from '../numeric/dot-products.js'
import { unitRows, type RowMatrix } from '../numeric/row-matrix.js'
import { checkSign } from './hiprune-plus-plus.js'
import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
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
      const quality = qualities(input.relevance as ArrayLike<number>, sign)
      const unit = unitRows(input.features as ArrayLike<number>, numTokens)
      return selectionOfIndices(spanGreedily(unit, quality, keep))
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
const SPENT = 1e-6

/** Indices in the order of choice; of equal determinants the lower index wins. */
export function spanGreedily(unit: RowMatrix, quality: ArrayLike<number>, keep: number): Uint32Array {
  const { numRows, width } = unit
  // What is left of each squared unit length; the determinant's gain is quality^2 times this.
  const left = new Float64Array(numRows)
  for (let i = 0; i < numRows; i++) left[i] = squaredLength(unit, i)
  const basis: RowMatrix = { values: new Float32Array(Math.min(keep, width) * width), numRows: 0, width }
  const products = new Float32Array(numRows)
  const taken = new Uint8Array(numRows)
  const order = new Uint32Array(keep)
  let rank = 0
  for (let step = 0; step < keep; step++) {
    const chosen = best(left, quality, taken)
    order[step] = chosen
    taken[chosen] = 1
    if ((left[chosen] as number) <= SPENT || rank === width) continue
    addDirection(basis, rank, unit, chosen)
    dotProducts(basis, rank++, unit, 0, numRows, products)
    for (let i = 0; i < numRows; i++) left[i] = (left[i] as number) - (products[i] as number) * (products[i] as number)
  }
  return order
}

function squaredLength(unit: RowMatrix, row: number): number {
  let squares = 0
  for (let d = row * unit.width; d < (row + 1) * unit.width; d++) squares += (unit.values[d] as number) ** 2
  return squares
}

/** The largest quality^2 x left; where all are spent, the largest quality. */
function best(left: Float64Array, quality: ArrayLike<number>, taken: Uint8Array): number {
  let index = -1
  let most = -1
  let spare = -1
  let mostSpare = -Infinity
  for (let i = 0; i < left.length; i++) {
    if (taken[i] !== 0) continue
    const r = quality[i] as number
    const rest = left[i] as number
    if (rest > SPENT && r * r * rest > most) {
      most = r * r * rest
      index = i
    }
    if (r > mostSpare) {
      mostSpare = r
      spare = i
    }
  }
  return index < 0 ? spare : index
}

/** Appends the part of a row that is outside of the basis, at length 1 (Gram-Schmidt, twice for accuracy). */
function addDirection(basis: RowMatrix, rank: number, unit: RowMatrix, row: number): void {
  const { values, width } = basis
  const start = rank * width
  values.set(unit.values.subarray(row * width, (row + 1) * width), start)
  const products = new Float32Array(rank)
  for (let pass = 0; pass < 2; pass++) {
    dotProducts(basis, rank, basis, 0, rank, products)
    for (let s = 0; s < rank; s++) {
      const factor = products[s] as number
      for (let d = 0; d < width; d++)
        values[start + d] = (values[start + d] as number) - factor * (values[s * width + d] as number)
    }
  }
  let squares = 0
  for (let d = start; d < start + width; d++) squares += (values[d] as number) ** 2
  const scale = 1 / Math.sqrt(squares)
  for (let d = start; d < start + width; d++) values[d] = (values[d] as number) * scale
}
