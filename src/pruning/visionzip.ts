import { ArgumentError } from '../errors.js'
import { dotProducts } from '../numeric/dot-products.js'
import { indexOfLargest } from '../numeric/largest.js'
import { roundHalfToEven } from '../numeric/round.js'
import { rowMatrix, unitRows, type RowMatrix } from '../numeric/row-matrix.js'
import { topSet } from '../numeric/top-k.js'
import { checkInput } from './input.js'
import type { Pruner, TokenSelection } from './types.js'

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
 * The original merges before the projector; here the features at hand are merged. O(N C d) for C contextual tokens.
 * Original code: Apache-2.0.
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
      const features = rowMatrix(input.features as ArrayLike<number>, numTokens)
      const keys = unitRows(input.keys as ArrayLike<number>, numTokens)
      const merged = mergeIntoTargets(features, keys, rest, targets)
      return gather(features, merged, dominant, targets, order)
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

/** `[C, D]`: each target plus the mean of the tokens whose key is most similar to its key (the first, of equals). */
export function mergeIntoTargets(
  features: RowMatrix,
  keys: RowMatrix,
  rest: Uint32Array,
  targets: Uint32Array,
): Float32Array {
  const { values, width } = features
  const targetKeys = gatherRows(keys, targets)
  const sums = new Float64Array(targets.length * width)
  const joined = new Uint32Array(targets.length)
  const isTarget = new Set(targets)
  const products = new Float32Array(targets.length)
  for (const token of targets.length > 0 ? rest : []) {
    if (isTarget.has(token)) continue
    dotProducts(keys, token, targetKeys, 0, targets.length, products)
    const target = indexOfLargest(products)
    joined[target] = (joined[target] as number) + 1
    for (let d = 0; d < width; d++)
      sums[target * width + d] = (sums[target * width + d] as number) + (values[token * width + d] as number)
  }
  const merged = gatherRows(features, targets).values
  for (let i = 0; i < merged.length; i++) {
    merged[i] = (merged[i] as number) + (sums[i] as number) / Math.max(1, joined[Math.floor(i / width)] as number)
  }
  return merged
}

function gatherRows({ values, width }: RowMatrix, indices: Uint32Array): RowMatrix {
  const rows = new Float32Array(indices.length * width)
  indices.forEach((index, i) => rows.set(values.subarray(index * width, (index + 1) * width), i * width))
  return { values: rows, numRows: indices.length, width }
}

/** Dominant rows as they are and merged rows, in the asked order. */
function gather(
  features: RowMatrix,
  merged: Float32Array,
  dominant: Uint32Array,
  targets: Uint32Array,
  order: 'raster' | 'original',
): TokenSelection {
  const kept = Uint32Array.from([...dominant, ...targets])
  if (order === 'raster') kept.sort()
  const { width } = features
  const rows = gatherRows(features, kept).values
  const place = new Map(Array.from(kept, (token, i) => [token, i]))
  targets.forEach((token, i) =>
    rows.set(merged.subarray(i * width, (i + 1) * width), (place.get(token) as number) * width),
  )
  return { kept, roles: new Uint8Array(kept.length), rows }
}
