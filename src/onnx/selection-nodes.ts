import { dataTypes, type GraphPatch } from './graph-patch.js'
import { toDouble, type BufferShape, type NeighbourTable } from './neighbours.js'
import { cast, reduce, toFloat } from './verbs.js'

/** Checked options of the selection. */
export interface SelectionSettings {
  readonly method: 'hiprune' | 'hiprune++'
  readonly alpha: number
  readonly shape: BufferShape
  readonly borders: 'grid' | 'clamp'
  readonly beta: number
  readonly sign: 1 | -1
}

/** Values that the selection reads. */
export interface SelectionInputs {
  /** Received attention of the object and the deep layer, float32 [images, tokens]. */
  readonly object: string
  readonly deep: string
  /** Relevance to the question, float32 [images, tokens]; hiprune++ only. */
  readonly relevance: string | undefined
  /** Tokens to keep, int64 [1], not yet clamped. */
  readonly keep: string
  /** Number of tokens, int64 [1]. */
  readonly count: string
  readonly table: NeighbourTable
}

/** Values that the selection makes. */
export interface SelectionOutputs {
  /** Kept tokens, ascending, int64 [images, K]. */
  readonly kept: string
  /** Their roles, uint8 [images, K]: 1 anchor, 2 buffer, 3 register, 4 text. */
  readonly roles: string
}

/** "Not chosen" as a place in the order of anchors and buffers; places are below it in any image of up to a million tokens. */
const nowhere = 2 ** 20
/** Keys of anchors and buffers count down from here: exact in float32, and far above every score. */
const topKey = 2 ** 24

/**
 * HiPrune (SPEC 2) and HiPrune++ (SPEC 3) as nodes: equal to the host's selection, ties included, since TopK too prefers the
 * lower of two equal indices. Anchors and buffers get keys above all scores, so one TopK picks them and the registers.
 */
export function selectionNodes(
  patch: GraphPatch,
  from: SelectionInputs,
  settings: SelectionSettings,
): SelectionOutputs {
  const keep = patch.node('Max', [patch.node('Min', [from.keep, from.count]), patch.integers([1])])
  const { rank, place } = placesOfShallow(patch, from, keep, settings.alpha)
  const isShallow = patch.node('Less', [place, patch.integers([nowhere])])
  const shallowKey = toFloat(patch, patch.node('Sub', [patch.integers([topKey]), place]))
  const key = patch.node('Where', [isShallow, shallowKey, from.deep])
  const text =
    from.relevance === undefined
      ? undefined
      : withText(patch, from.relevance, key, isShallow, { ...from, keep }, settings)
  const kept = ascending(patch, topK(patch, text?.key ?? key, keep), keep)
  const isAnchor = patch.node('Less', [rank, patch.integers([nowhere])])
  const deepRole = text
    ? patch.node('Where', [text.early, patch.integers([3]), patch.integers([4])])
    : patch.integers([3])
  const shallowRole = patch.node('Where', [isAnchor, patch.integers([1]), patch.integers([2])])
  const roles = patch.node('Where', [isShallow, shallowRole, deepRole])
  return { kept, roles: cast(patch, patch.node('GatherElements', [roles, kept], { axis: 1 }), dataTypes.uint8) }
}

/**
 * For every token its rank among the anchors and its place in the sequence "best anchor, its buffers, second anchor, ..."
 * that fills the budget; {@link nowhere} or more for tokens that are not in it.
 */
function placesOfShallow(patch: GraphPatch, { object, count, table }: SelectionInputs, keep: string, alpha: number) {
  const anchors = share(patch, keep, alpha, 1 + table.buffersPerAnchor)
  const order = topK(patch, object, count)
  const byScore = inverse(patch, order, count)
  const none = patch.integers([nowhere])
  const rank = patch.node('Where', [patch.node('Less', [byScore, anchors]), byScore, none])
  const padding = patch.node('Expand', [
    patch.integers([nowhere]),
    patch.node('Concat', [firstDim(patch, rank), patch.integers([1])], { axis: 0 }),
  ])
  const ranks = patch.node('Concat', [rank, padding], { axis: 1 }) // [images, tokens + 1]
  const anchorOf = patch.node('Gather', [ranks, table.sources], { axis: 1 }) // [images, tokens, m]
  const start = patch.node('Mul', [anchorOf, patch.integers([1 + table.buffersPerAnchor])])
  const place = reduceMin(patch, patch.node('Add', [start, table.places]))
  return { rank, place: cutAt(patch, place, keep, count) }
}

/** Where anchors and buffers are more than the budget, the first `keep` of their sequence are taken. */
function cutAt(patch: GraphPatch, place: string, keep: string, count: string): string {
  const order = patch.nodes('TopK', [place, count], { largest: 0 }, 2)[1] ?? ''
  const isLate = patch.node('Less', [patch.node('Sub', [keep, patch.integers([1])]), inverse(patch, order, count)])
  return patch.node('Where', [isLate, patch.integers([nowhere * 2]), place])
}

/**
 * hiprune++: anchors, buffers and registers first (`early`), then the rest by relevance. Text tokens take from the
 * registers' part of the budget only.
 */
function withText(
  patch: GraphPatch,
  relevance: string,
  key: string,
  isShallow: string,
  { keep, count }: { keep: string; count: string },
  settings: SelectionSettings,
) {
  const shallow = reduce(patch, 'Sum', cast(patch, isShallow, dataTypes.int64), [1], true) // [images, 1]
  const earlyCount = patch.node('Max', [shallow, patch.node('Sub', [keep, share(patch, keep, settings.beta, 1)])])
  const early = patch.node('Less', [inverse(patch, topK(patch, key, count), count), earlyCount])
  const signed = settings.sign === 1 ? relevance : patch.node('Neg', [relevance])
  return { early, key: patch.node('Where', [early, patch.floats([topKey]), signed]) }
}

/** round(keep * part / by), half to even, in double precision as on the host. */
function share(patch: GraphPatch, keep: string, part: number, by: number): string {
  const product = patch.node('Mul', [toDouble(patch, keep), patch.double(part)])
  return cast(patch, patch.node('Round', [patch.node('Div', [product, patch.double(by)])]), dataTypes.int64)
}

/** Indices of the largest values, best first, the lower index of equal ones first. */
function topK(patch: GraphPatch, values: string, count: string): string {
  return patch.nodes('TopK', [values, count], {}, 2)[1] ?? ''
}

/** The same numbers in ascending order. */
function ascending(patch: GraphPatch, indices: string, count: string): string {
  return patch.nodes('TopK', [indices, count], { largest: 0 }, 2)[0] ?? ''
}

/** Where each token stands in an order of all tokens. */
function inverse(patch: GraphPatch, order: string, count: string): string {
  return patch.nodes('TopK', [order, count], { largest: 0 }, 2)[1] ?? ''
}

/** Minimum over the last axis; ReduceMin takes its axes as an input from opset 18 on. */
function reduceMin(patch: GraphPatch, value: string): string {
  return patch.opset >= 18
    ? patch.node('ReduceMin', [value, patch.integers([2])], { keepdims: 0 })
    : patch.node('ReduceMin', [value], { axes: [2], keepdims: 0 })
}

function firstDim(patch: GraphPatch, value: string): string {
  return patch.node('Slice', [patch.node('Shape', [value]), patch.integers([0]), patch.integers([1])])
}

/**
 * Cosine of every visual token with the question, float32 [images, tokens]: 0 where either has no length. In double precision,
 * so that equal tokens do not swap places with the host's.
 */
export function relevanceNodes(patch: GraphPatch, features: string, text: string): string {
  const rows = toDouble(patch, features) // [images, tokens, width]
  const question = toDouble(patch, text) // [width]
  const dot = reduce(patch, 'Sum', patch.node('Mul', [rows, question]), [2], false)
  const length = (value: string, axis: number): string =>
    patch.node('Sqrt', [reduce(patch, 'Sum', patch.node('Mul', [value, value]), [axis], axis === 0)])
  const lengths = patch.node('Mul', [length(rows, 2), length(question, 0)])
  const isZero = patch.node('Not', [patch.node('Greater', [lengths, patch.double(0)])])
  const cosine = patch.node('Div', [dot, patch.node('Where', [isZero, patch.double(1), lengths])])
  return toFloat(patch, patch.node('Where', [isZero, patch.double(0), cosine]))
}
