import { ArgumentError } from '../errors.js'
import { roundHalfToEven } from '../numeric/round.js'
import { checkHiPruneOptions, countMarked, markAnchorsAndBuffers, markBest, type HiPruneOptions } from './hiprune.js'
import { checkInput } from './input.js'
import { selectionOfMarks } from './selection.js'
import { TokenRole, type Pruner } from './types.js'

export interface HiPrunePlusPlusOptions extends HiPruneOptions {
  /** Share of the budget given to text tokens, 0 to 1. Default 0.1 (the paper's). */
  readonly beta?: number
  /** Number of text tokens, instead of round(beta x K). */
  readonly textTokens?: number
  /** Whether text tokens count as part of the budget (default; K in total) or come on top of it (K + textTokens). */
  readonly textBudget?: 'within' | 'extra'
  /** 1 (default, the paper's Eq. 9) keeps the tokens most similar to the question, -1 the least similar ones. */
  readonly sign?: 1 | -1
}

/**
 * HiPrune++ (https://arxiv.org/abs/2508.00553, section 4.3): HiPrune whose last tokens are chosen by their similarity to the
 * question. The order is anchors, buffers, registers, text tokens. The paper's counts of text tokens contradict each other;
 * a total of K, which its efficiency table fits, is the default.
 *
 * Needs received attention of two layers and the relevance (see {@link relevanceToText}). O(N). Original code: MIT.
 */
export function hiprunePlusPlus(options: HiPrunePlusPlusOptions = {}): Pruner {
  const checked = checkHiPruneOptions(options)
  const { sign, ...text } = checkTextOptions(options)
  const needs = ['objectScores', 'deepScores', 'relevance'] as const
  return {
    name: 'hiprune++',
    needs,
    select(input, budget) {
      const { numTokens, keep } = checkInput(input, budget, needs)
      const marks = markAnchorsAndBuffers(input, keep, checked)
      const shallow = countMarked(marks)
      const { registers, total } = shareOut(keep, shallow, numTokens, text)
      markBest(marks, input.deepScores as ArrayLike<number>, registers, TokenRole.register)
      markBest(marks, signed(input.relevance as ArrayLike<number>, sign), total - shallow - registers, TokenRole.text)
      return selectionOfMarks(marks, total, true)
    },
  }
}

type TextOptions = Pick<ReturnType<typeof checkTextOptions>, 'beta' | 'textTokens' | 'textBudget'>

/** Text tokens take from the registers' part, never from the anchors' and buffers'. */
function shareOut(keep: number, shallow: number, numTokens: number, { beta, textTokens, textBudget }: TextOptions) {
  const wanted = textTokens ?? roundHalfToEven(beta * keep)
  if (textBudget === 'extra') return { registers: keep - shallow, total: Math.min(numTokens, keep + wanted) }
  return { registers: Math.max(0, keep - shallow - wanted), total: keep }
}

function checkTextOptions(options: HiPrunePlusPlusOptions) {
  const { beta = 0.1, textTokens, textBudget = 'within', sign = 1 } = options
  if (!(beta >= 0 && beta <= 1)) throw new ArgumentError('beta', beta, 'a number from 0 to 1')
  if (textTokens !== undefined && !(Number.isSafeInteger(textTokens) && textTokens >= 0))
    throw new ArgumentError('textTokens', textTokens, 'a count from 0')
  if (!['within', 'extra'].includes(textBudget)) throw new ArgumentError('textBudget', textBudget, 'within, extra')
  checkSign(sign)
  return { beta, textTokens, textBudget, sign }
}

/** @throws ArgumentError unless `sign` is 1 or -1. */
export function checkSign(sign: number): void {
  if (sign !== 1 && sign !== -1) throw new ArgumentError('sign', sign, '1, -1')
}

function signed(relevance: ArrayLike<number>, sign: 1 | -1): ArrayLike<number> {
  if (sign === 1) return relevance
  const negated = new Float64Array(relevance)
  for (let i = 0; i < negated.length; i++) negated[i] = -(negated[i] as number)
  return negated
}
