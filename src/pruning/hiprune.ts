import { ArgumentError } from '../errors.js'
import { roundHalfToEven } from '../numeric/round.js'
import { topK, topSet } from '../numeric/top-k.js'
import type { Budget, BudgetInput } from './budget.js'
import { bufferShapes, buffersOf, buffersPerAnchor, type BorderRule, type BufferShape } from './buffers.js'
import { checkInput } from './input.js'
import { selectionOfMarks } from './selection.js'
import { TokenRole, type PatchGrid, type PruneInput, type Pruner, type TokenSelection } from './types.js'

export interface HiPruneOptions {
  /** Share of the budget given to anchors and their buffers, 0 to 1. Default 0.1 (the paper's). */
  readonly alpha?: number
  /** Which neighbours of an anchor are kept with it. Default 'cross'. */
  readonly shape?: BufferShape
  /** Default 'grid'; 'clamp' reproduces the paper's public code bit for bit. */
  readonly borders?: BorderRule
}

/** Options with their defaults filled in and checked. */
export type CheckedHiPruneOptions = Required<HiPruneOptions>

/**
 * HiPrune (https://arxiv.org/abs/2508.00553, section 4): anchors are the tokens that receive most attention in the object
 * layer, buffers their neighbours on the grid, registers the tokens that receive most attention in the deep layer.
 *
 * Needs the received attention of two layers. O(N). Original code: MIT.
 */
export function hiprune(options: HiPruneOptions = {}): Pruner {
  const checked = checkHiPruneOptions(options)
  const needs = ['objectScores', 'deepScores'] as const
  return {
    name: 'hiprune',
    needs,
    select(input: PruneInput, budget: BudgetInput | Budget): TokenSelection {
      const { keep } = checkInput(input, budget, needs)
      const marks = markAnchorsAndBuffers(input, keep, checked)
      markBest(marks, input.deepScores as ArrayLike<number>, keep - countMarked(marks), TokenRole.register)
      return selectionOfMarks(marks, keep, true)
    },
  }
}

/** @throws ArgumentError naming the option, what was got and what is allowed. */
export function checkHiPruneOptions(options: HiPruneOptions): CheckedHiPruneOptions {
  const { alpha = 0.1, shape = 'cross', borders = 'grid' } = options
  if (!(alpha >= 0 && alpha <= 1)) throw new ArgumentError('alpha', alpha, 'a number from 0 to 1')
  if (!bufferShapes.includes(shape)) throw new ArgumentError('shape', shape, bufferShapes.join(', '))
  if (borders !== 'grid' && borders !== 'clamp') throw new ArgumentError('borders', borders, 'grid, clamp')
  return { alpha, shape, borders }
}

/** a of SPEC 2: round(K * alpha / (1 + b)), half to even. */
export function anchorCount(keep: number, alpha: number, shape: BufferShape): number {
  return roundHalfToEven((keep * alpha) / (1 + buffersPerAnchor(shape)))
}

/**
 * `[N]` marks (a {@link TokenRole} or 0) of anchors and buffers, at most `keep` of them: where they would be more, anchors
 * in descending order of score, each followed by its buffers, fill the budget and the rest is cut.
 */
export function markAnchorsAndBuffers(input: PruneInput, keep: number, options: CheckedHiPruneOptions): Uint8Array {
  const scores = input.objectScores as ArrayLike<number>
  const anchors = topK(scores, anchorCount(keep, options.alpha, options.shape))
  const marks = new Uint8Array(scores.length)
  let free = keep
  for (const token of anchorsWithBuffers(anchors, input.grid, options)) {
    if (free === 0) break
    if (marks[token] !== 0) continue
    marks[token] = TokenRole.buffer
    free--
  }
  for (const anchor of anchors) if (marks[anchor] !== 0) marks[anchor] = TokenRole.anchor
  return marks
}

function* anchorsWithBuffers(anchors: Uint32Array, grid: PatchGrid, { shape, borders }: CheckedHiPruneOptions) {
  for (const anchor of anchors) {
    yield anchor
    yield* buffersOf(anchor, grid, shape, borders)
  }
}

/** Marks the `count` best tokens that carry no mark yet. */
export function markBest(marks: Uint8Array, scores: ArrayLike<number>, count: number, role: TokenRole): void {
  for (const token of topSet(scores, count, marks)) marks[token] = role
}

export function countMarked(marks: Uint8Array): number {
  let count = 0
  for (let i = 0; i < marks.length; i++) if (marks[i] !== 0) count++
  return count
}
