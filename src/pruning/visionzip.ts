import { ArgumentError } from '../errors.js'
import { rowOf, withArena } from '../numeric/arena.js'
import { indexOfLargest } from '../numeric/largest.js'
import { roundHalfToEven } from '../numeric/round.js'
import { asFloat32, floatsOfMatrix, gatherRows, loadUnitRows } from '../numeric/rows.js'
import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import type { Pruner } from './types.js'

export interface VisionZipOptions {
  /** Share of the budget given to merged (contextual) tokens, 0 to 1. Default 10/64: the paper's 162 + 30, 108 + 20, 54 + 10. */
  readonly contextualRatio?: number
  /** 'raster' (default): kept ascending. 'original': dominant tokens first, then contextual ones, each ascending. */
  readonly order?: 'raster' | 'original'
}

/**
 * VisionZip (https://arxiv.org/abs/2412.04467): dominant tokens by CLS attention stay as they are. Of the rest, evenly
 * spaced targets are kept and each other token joins the target with the most similar key; a contextual token is the target
 * plus the mean of those that joined it.
 *
 * The original merges before the projector; here the features at hand are merged. O(N (C d + D)) for C contextual tokens,
 * keys of width d and features of width D. Original code: Apache-2.0.
 */
export function visionzip(options: VisionZipOptions = {}): Pruner {
  const { contextualRatio, order } = checkOptions(options)
  const needs = ['clsScores', 'keys', 'features'] as const
  return {
    name: 'visionzip',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const contextual = roundHalfToEven(keep * contextualRatio)
      const dominant = topSet(input.clsScores as ArrayLike<number>, keep - contextual)
      const rest = complement(dominant, numTokens)
      const targets = evenTargets(rest, contextual)
      const joins = joinTargets(input.keys as ArrayLike<number>, numTokens, rest, targets)
      const kept = Uint32Array.from([...dominant, ...targets])
      if (order === 'raster') kept.sort()
      const rows = mergedRows(asFloat32(input.features as ArrayLike<number>), kept, joins)
      return { kept, roles: new Uint8Array(keep), rows }
    },
  }
}

function checkOptions({ contextualRatio = 10 / 64, order = 'raster' }: VisionZipOptions) {
  if (!(contextualRatio >= 0 && contextualRatio <= 1))
    throw new ArgumentError('contextualRatio', contextualRatio, 'a number from 0 to 1')
  if (!['raster', 'original'].includes(order)) throw new ArgumentError('order', order, 'raster, original')
  return { contextualRatio, order }
}

function complement(indices: Uint32Array, numTokens: number): Uint32Array {
  const taken = new Uint8Array(numTokens)
  for (const index of indices) taken[index] = 1
  return Uint32Array.from({ length: numTokens }, (_, i) => i).filter((i) => taken[i] === 0)
}

/** Every floor(M / C)-th of the M tokens, the first C of them. */
export function evenTargets(rest: Uint32Array, count: number): Uint32Array {
  const step = Math.max(1, Math.floor(rest.length / count))
  return rest.filter((_, place) => place % step === 0).slice(0, count)
}

/** `[N]` for each token the target that it joins, the one with the most similar key (the first, of equals); -1 for none. */
export function joinTargets(
  keys: ArrayLike<number>,
  numTokens: number,
  rest: Uint32Array,
  targets: Uint32Array,
): Int32Array {
  const joins = new Int32Array(numTokens).fill(-1)
  if (targets.length === 0) return joins
  return withArena(2 * floatsOfMatrix(keys, numTokens) + targets.length, (arena) => {
    const unit = loadUnitRows(arena, keys, numTokens)
    const targetKeys = gatherRows(arena, unit, targets)
    const products = arena.floats(targets.length)
    for (const token of rest) {
      arena.dots(rowOf(unit, token), targetKeys, 0, targets.length, products)
      joins[token] = targets[indexOfLargest(products)] as number
    }
    for (const target of targets) joins[target] = -1
    return joins
  })
}

/** `[K, D]` the kept rows, each plus the mean of those that join it. */
function mergedRows(features: Float32Array, kept: Uint32Array, joins: Int32Array): Float32Array {
  const width = features.length / joins.length
  const counts = new Uint32Array(joins.length)
  for (const target of joins) if (target >= 0) counts[target] = (counts[target] as number) + 1
  const places = new Int32Array(joins.length)
  const rows = new Float32Array(kept.length * width)
  kept.forEach((token, place) => {
    places[token] = place
    rows.set(features.subarray(token * width, (token + 1) * width), place * width)
  })
  for (let token = 0; token < joins.length; token++) {
    const target = joins[token] as number
    if (target >= 0)
      addShare(rows, (places[target] as number) * width, features, token * width, width, counts[target] as number)
  }
  return rows
}

/** Adds a vector divided by the number of those that share. */
function addShare(
  to: Float32Array,
  at: number,
  from: Float32Array,
  start: number,
  width: number,
  sharers: number,
): void {
  const share = 1 / sharers
  for (let d = 0; d < width; d++) to[at + d] = (to[at + d] as number) + (from[start + d] as number) * share
}
