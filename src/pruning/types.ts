import type { Budget, BudgetInput } from './budget.js'

/** The patch grid of one image, tile or frame. Token `i` lies in row `floor(i / columns)`, column `i % columns`. */
export interface PatchGrid {
  readonly rows: number
  readonly columns: number
}

/** What a pruner can ask for beside the grid. */
export type ScoreName = 'objectScores' | 'deepScores' | 'clsScores' | 'features' | 'keys' | 'relevance'

/** One image, tile or frame with N = rows x columns visual tokens in raster order. */
export interface PruneInput {
  readonly grid: PatchGrid
  /** `[N]` attention received in the object layer (SPEC: mean over heads and queries). */
  readonly objectScores?: ArrayLike<number>
  /** `[N]` attention received in the deep layer, the one whose output the projector reads. */
  readonly deepScores?: ArrayLike<number>
  /**
   * `[N]` attention of the CLS query to each patch in the deep layer, mean over heads. For an encoder without a CLS token the
   * caller hands in `deepScores` here: the methods themselves read `clsScores` only.
   */
  readonly clsScores?: ArrayLike<number>
  /** Row-major `[N, D]` visual tokens. */
  readonly features?: ArrayLike<number>
  /** Row-major `[N, d]` head-mean keys of the deep layer. */
  readonly keys?: ArrayLike<number>
  /** `[N]` similarity of each token to the question; higher is more relevant. */
  readonly relevance?: ArrayLike<number>
  /** For methods that draw random numbers. Default 0. */
  readonly seed?: number
}

/** Why a token was kept. Values of {@link TokenSelection.roles}. */
export const TokenRole = { none: 0, anchor: 1, buffer: 2, register: 3, text: 4 } as const
export type TokenRole = (typeof TokenRole)[keyof typeof TokenRole]

/** Which of N visual tokens stay. */
export interface TokenSelection {
  /** `[K]` kept token indices, ascending (raster order) unless an option asks for another order. */
  readonly kept: Uint32Array
  /** `[K]` the {@link TokenRole} of each kept token; 0 for methods without roles. */
  readonly roles: Uint8Array
  /**
   * Row-major `[K, D]` features that replace those of the kept tokens, in the order of `kept`, from methods that merge
   * tokens; absent when features are gathered unchanged. The row keeps the position of its kept token.
   */
  readonly rows?: Float32Array
}

/** One selection method. Stateless: equal input and budget give an equal selection. */
export interface Pruner {
  readonly name: string
  /** The score inputs that `select` reads. */
  readonly needs: readonly ScoreName[]
  /**
   * @param budget Tokens to keep: a count, a ratio, or 'auto' (see {@link parseBudget}).
   * @throws ArgumentError when a needed score is missing, has the wrong length or is not finite, or the budget is refused.
   */
  select(input: PruneInput, budget: BudgetInput | Budget): TokenSelection
}
