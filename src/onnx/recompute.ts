import { dataTypes, type GraphPatch } from './graph-patch.js'
import { validKeys, type KeyMask } from './masks.js'
import { cast, reduce, slice, toEnd, toFloat } from './verbs.js'

/** What a fused operator computes its probabilities from: softmax(cap(query x key) + masks). */
export interface QueryKey {
  /** Scaled queries [batch, heads, queries, head size] float32. */
  readonly query: string
  /** Keys [batch, heads, head size, keys] float32. */
  readonly keyTransposed: string
  readonly masks: readonly KeyMask[]
  /** Scores are softCap * tanh(scores / softCap); 0 for none. */
  readonly softCap: number
}

/**
 * Queries that are worked on at once. The extra memory is two blocks of heads x 32 x keys floats: 2.4 MB for CLIP-L at 336
 * pixels (577 tokens, 16 heads), where all probabilities together would take 21 MB.
 */
const blockLength = 32

/** A score that leaves nothing after the Softmax, and stays finite for rows that are masked as a whole. */
const lowest = -3.4028234663852886e38

/**
 * Mean over valid queries of the probabilities, per head: [batch, heads, 1, keys] float32. A Loop goes through the
 * queries in blocks, so the extra memory is O(block x keys) and the number of tokens may be dynamic.
 */
export function receivedInBlocks(patch: GraphPatch, from: QueryKey): string {
  const valid = validKeys(patch, from.masks, 4)
  const queries = slice(patch, patch.node('Shape', [from.query]), 0, 2, 3)
  const total = sumOverQueries(patch, from, valid, queries)
  const count = valid === undefined ? toFloat(patch, queries) : reduce(patch, 'Sum', valid, [-1], true)
  return patch.node('Div', [total, count])
}

/** The probabilities of one query: [batch, heads, 1, keys] float32. */
export function attentionRow(patch: GraphPatch, from: QueryKey, query: number): string {
  const rows = (value: string): string => slice(patch, value, -2, query, query + 1)
  return probabilities(patch, from, rows(from.query), rows)
}

function sumOverQueries(patch: GraphPatch, from: QueryKey, valid: string | undefined, queries: string): string {
  const [iteration, condition, before] = ['iteration', 'condition', 'before'].map((hint) => patch.newName(hint))
  const body = patch.body(
    [
      { name: iteration ?? '', dataType: dataTypes.int64, rank: 0 },
      { name: condition ?? '', dataType: dataTypes.bool, rank: 0 },
      { name: before ?? '', dataType: dataTypes.float, rank: 4 },
    ],
    () => [
      { name: patch.node('Identity', [condition ?? '']), dataType: dataTypes.bool, rank: 0 },
      {
        name: patch.node('Add', [before ?? '', blockSum(patch, from, valid, iteration ?? '')]),
        dataType: dataTypes.float,
        rank: 4,
      },
    ],
  )
  return patch.node('Loop', [blockCount(patch, queries), patch.true(), zeros(patch, from)], { body })
}

/** Sum over one block of queries, [batch, heads, 1, keys]; invalid queries have weight 0. */
function blockSum(patch: GraphPatch, from: QueryKey, valid: string | undefined, iteration: string): string {
  const start = patch.node('Reshape', [
    patch.node('Mul', [iteration, patch.integers(blockLength)]),
    patch.integers([1]),
  ])
  const stop = patch.node('Add', [start, patch.integers([blockLength])])
  const along = (axis: number) => (value: string) => patch.node('Slice', [value, start, stop, patch.integers([axis])])
  const block = probabilities(patch, from, along(-2)(from.query), along(-2))
  return valid === undefined ? reduce(patch, 'Sum', block, [2], true) : patch.node('MatMul', [along(-1)(valid), block])
}

function probabilities(patch: GraphPatch, from: QueryKey, query: string, rows: (value: string) => string): string {
  const product = patch.node('MatMul', [query, from.keyTransposed])
  const capped = from.softCap > 0 ? softCap(patch, product, from.softCap) : product
  const masked = from.masks.reduce((scores, mask) => applyMask(patch, scores, mask, rows), capped)
  return patch.node('Softmax', [masked], { axis: patch.opset >= 13 ? -1 : 3 })
}

function softCap(patch: GraphPatch, scores: string, cap: number): string {
  return patch.node('Mul', [patch.node('Tanh', [patch.node('Div', [scores, patch.floats(cap)])]), patch.floats(cap)])
}

/** Masks without a row per query are broadcast; the others are cut to the block's rows. */
function applyMask(patch: GraphPatch, scores: string, mask: KeyMask, rows: (value: string) => string): string {
  const perQuery = mask.shape.length >= 2 && mask.shape.at(-2) !== 1
  const value = perQuery ? rows(mask.value) : mask.value
  if (mask.kind === 'added') return patch.node('Add', [scores, toFloat(patch, value)])
  const condition = cast(patch, value, dataTypes.bool)
  const hidden = patch.floats(lowest)
  return patch.node('Where', mask.kind === 'visible' ? [condition, scores, hidden] : [condition, hidden, scores])
}

function blockCount(patch: GraphPatch, queries: string): string {
  const padded = patch.node('Add', [queries, patch.integers([blockLength - 1])])
  return patch.node('Reshape', [patch.node('Div', [padded, patch.integers([blockLength])]), patch.integers([])])
}

/** Zeros [batch, heads, 1, keys]. */
function zeros(patch: GraphPatch, from: QueryKey): string {
  const batchAndHeads = slice(patch, patch.node('Shape', [from.query]), 0, 0, 2)
  const keys = slice(patch, patch.node('Shape', [from.keyTransposed]), 0, 3, toEnd)
  return patch.node('ConstantOfShape', [patch.node('Concat', [batchAndHeads, patch.integers([1]), keys], { axis: 0 })])
}
