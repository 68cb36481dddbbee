import { ArgumentError } from '../errors.js'
import { parseBudget, resolveBudget, type Budget, type BudgetInput } from './budget.js'
import type { PatchGrid, PruneInput, ScoreName } from './types.js'

/** Scores with one value a token; the others ('features', 'keys') are matrices with one row a token. */
const VECTORS: ReadonlySet<ScoreName> = new Set(['objectScores', 'deepScores', 'clsScores', 'relevance'])

/** A checked input: every needed score is there, has one value or row a token, and is finite. */
export interface CheckedInput {
  readonly numTokens: number
  /** Tokens to keep, 1 to N. */
  readonly keep: number
}

/** Validates what `select` was given, at the boundary, so that kernels need no checks. */
export function checkInput(input: PruneInput, budget: BudgetInput | Budget, needs: readonly ScoreName[]): CheckedInput {
  const numTokens = checkGrid(input.grid)
  const isAuto = budget === 'auto' || (typeof budget === 'object' && budget.kind === 'auto')
  for (const name of isAuto && !needs.includes('deepScores') ? [...needs, 'deepScores' as const] : needs) {
    checkScores(name, input[name], numTokens)
  }
  const parsed = typeof budget === 'object' ? budget : parseBudget(budget)
  return { numTokens, keep: resolveBudget(parsed, numTokens, isAuto ? input.deepScores : undefined) }
}

function checkGrid(grid: PatchGrid): number {
  const { rows, columns } = grid
  for (const [name, value] of Object.entries({ rows, columns })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError(`grid.${name}`, value, 'an integer from 1')
  }
  return rows * columns
}

function checkScores(name: ScoreName, scores: ArrayLike<number> | undefined, numTokens: number): void {
  if (!scores) throw new ArgumentError(name, scores, `scores of ${numTokens} tokens, which this method needs`)
  const fits = VECTORS.has(name) ? scores.length === numTokens : scores.length > 0 && scores.length % numTokens === 0
  if (!fits) {
    throw new ArgumentError(
      name,
      scores,
      `${VECTORS.has(name) ? '' : 'a multiple of '}${numTokens} values, one ${VECTORS.has(name) ? 'value' : 'row'} a grid cell`,
    )
  }
  const wrong = indexOfNonFinite(scores)
  if (wrong >= 0) throw new ArgumentError(`${name}[${wrong}]`, scores[wrong], 'a finite number')
}

/** -1 when all are finite. Features have millions of values: 0 x value is NaN for NaN and infinities, and sums up. */
function indexOfNonFinite(values: ArrayLike<number>): number {
  let zero = 0
  for (let i = 0; i < values.length; i++) zero += 0 * (values[i] as number)
  return zero === 0 ? -1 : Array.prototype.findIndex.call(values, (value) => !Number.isFinite(value))
}
