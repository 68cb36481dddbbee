import { ArgumentError } from '../errors.js'
import { roundHalfToEven } from '../numeric/round.js'
import { topK } from '../numeric/top-k.js'

/**
 * How many visual tokens to keep, as people write it: a count (192, '192'), a ratio between 0 and 1 (0.334, '1/3', '33%'),
 * or 'auto'.
 */
export type BudgetInput = number | string

/** A parsed token budget, independent of the number of tokens it will be applied to. */
export type Budget =
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'ratio'; readonly ratio: number }
  | { readonly kind: 'auto'; readonly share: number; readonly minRatio: number; readonly maxRatio: number }

/** 'auto' keeps the tokens that hold this share of the deep attention above uniform ... */
const AUTO_SHARE = 0.9
/** ... but never fewer than the paper's strongest pruning and never more than half. */
const AUTO_RANGE = { minRatio: 1 / 9, maxRatio: 1 / 2 }

const ALLOWED = "a count from 1 (192), a ratio above 0 and up to 1 (1/3, 0.334, '33%'), or 'auto'"

/**
 * Reads a token budget. A number of 1 or more is a count; one below 1 is a ratio.
 *
 * @param numTokens When given, the budget is resolved at once and the number K is returned.
 * @throws ArgumentError on anything else: 0, negative, above 100 %, NaN, a fraction of a token.
 */
export function parseBudget(input: BudgetInput): Budget
export function parseBudget(input: BudgetInput, numTokens: number): number
export function parseBudget(input: BudgetInput, numTokens?: number): Budget | number {
  const budget = typeof input === 'number' ? budgetOfNumber(input, input) : budgetOfText(input)
  return numTokens === undefined ? budget : resolveBudget(budget, numTokens)
}

/**
 * K for N tokens: counts are capped at N, ratios are rounded half to even and never below 1.
 *
 * @param deepScores `[N]`, needed by 'auto' only (SPEC 7): the smallest K whose tokens hold the budget's share of the deep
 *   attention above uniform.
 * @throws ArgumentError when 'auto' has no deep scores to look at.
 */
export function resolveBudget(budget: Budget, numTokens: number, deepScores?: ArrayLike<number>): number {
  switch (budget.kind) {
    case 'count':
      return Math.min(budget.count, numTokens)
    case 'ratio':
      return tokensOfRatio(budget.ratio, numTokens)
    case 'auto': {
      const wanted = complexityOf(deepScores, budget.share)
      return clampAuto(budget, wanted, numTokens)
    }
  }
}

/**
 * K of 'auto' for several grids that share it: the sum of what each wants, between the least and the most of all together.
 *
 * @param complexities Of each grid, see {@link complexityOf}.
 */
export function resolveAuto(
  budget: Extract<Budget, { kind: 'auto' }>,
  complexities: readonly number[],
  numTokens: number,
): number {
  const wanted = complexities.reduce((sum, complexity) => sum + complexity, 0)
  return clampAuto(budget, wanted, numTokens)
}

/**
 * How busy a grid is, in tokens: the fewest that hold this share of its deep attention above uniform. Attention sums to 1
 * in every tile and frame, so its height cannot be compared between them, but how many tokens it spreads over can.
 *
 * @param deepScores `[N]`.
 * @param share Default 0.9, that of 'auto'.
 * @throws ArgumentError without deep scores.
 */
export function complexityOf(deepScores: ArrayLike<number> | undefined, share = AUTO_SHARE): number {
  if (!deepScores) throw new ArgumentError('budget', 'auto', 'a count or a ratio for a method without deep scores')
  return tokensHoldingShare(deepScores, share)
}

function clampAuto(budget: Extract<Budget, { kind: 'auto' }>, wanted: number, numTokens: number): number {
  const least = tokensOfRatio(budget.minRatio, numTokens)
  return Math.min(Math.max(wanted, least), tokensOfRatio(budget.maxRatio, numTokens))
}

function budgetOfText(input: unknown): Budget {
  if (typeof input !== 'string') throw new ArgumentError('budget', input, ALLOWED)
  const text = input.trim()
  if (text === 'auto') return { kind: 'auto', share: AUTO_SHARE, ...AUTO_RANGE }
  const fraction = /^(\d+(?:\.\d+)?)\s*(?:\/\s*(\d+(?:\.\d+)?)|(%))$/.exec(text)
  if (fraction) return ratioBudget(Number(fraction[1]) / Number(fraction[2] ?? 100), input)
  if (!/^\d*\.?\d+$/.test(text)) throw new ArgumentError('budget', input, ALLOWED)
  return budgetOfNumber(Number(text), input)
}

function budgetOfNumber(value: number, input: BudgetInput): Budget {
  if (value > 0 && value < 1) return ratioBudget(value, input)
  if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError('budget', input, ALLOWED)
  return { kind: 'count', count: value }
}

function ratioBudget(ratio: number, input: BudgetInput): Budget {
  if (!(ratio > 0 && ratio <= 1)) throw new ArgumentError('budget', input, ALLOWED)
  return { kind: 'ratio', ratio }
}

function tokensOfRatio(ratio: number, numTokens: number): number {
  return Math.max(1, roundHalfToEven(ratio * numTokens))
}

/** Attention above uniform is what an image's busy places have more than an empty one's: few for a logo, many for a crowd. */
function tokensHoldingShare(scores: ArrayLike<number>, share: number): number {
  const numTokens = scores.length
  let sum = 0
  for (let i = 0; i < numTokens; i++) sum += scores[i] as number
  const excess = Float64Array.from(scores, (score) => Math.max(0, score - sum / numTokens))
  // A hair less than the share, so that rounding in the sum does not ask for one token more.
  let wanted = share * (1 - 1e-9) * excess.reduce((total, value) => total + value, 0)
  let count = 0
  for (const index of topK(excess, numTokens)) {
    if (wanted <= 0) break
    wanted -= excess[index] as number
    count++
  }
  return Math.max(1, count)
}
