import type { PreTrainedTokenizer } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import {
  checkSplit,
  createPruner,
  parseBudget,
  type Budget,
  type BudgetInput,
  type BudgetSplit,
  type PatchGrid,
  type Pruner,
  type PrunerName,
  type PrunerOptions,
  type TokenSelection,
} from '../pruning/index.js'
import type { TextTower } from '../models/index.js'
import type { QuestionSource } from './question.js'

/** How a model prunes. Options of the chosen method (alpha, shape, borders, seed, ...) stand beside these. */
export type PruningOptions = MethodOptions & {
  /** Visual tokens to keep of each image: a count, a ratio or 'auto'. Default 1/3. */
  readonly keep?: BudgetInput
  /**
   * How tiles of an image and frames of a video divide its budget, and images theirs: 'even', 'complexity' or 'shared'.
   * Default 'even', with 'auto' 'complexity'.
   */
  readonly split?: BudgetSplit
  /** Selection method. Default 'hiprune'. */
  readonly method?: PrunerName
  /**
   * The words of the question, for methods that read it (hiprune++, cdpruner). Default: the text after the prompt's last
   * image, without special tokens and without what the chat template writes behind it.
   */
  readonly question?: string
  /** The model's tokenizer, for the same methods. loadPruned sets it. */
  readonly tokenizer?: PreTrainedTokenizer
  /** The vision encoder's paired text tower, for the same methods; the language model's input embeddings do without it. */
  readonly textTower?: TextTower
  /** Called once a prompt with images, after the selection and before the prefill. */
  readonly onSelection?: (event: SelectionEvent) => void
  /** Called after each stage of a forward pass. */
  readonly onStage?: (event: StageEvent) => void
}

type MethodOptions = Partial<UnionToIntersection<PrunerOptions[PrunerName]>>
type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never

/** Which tokens of which images stayed. */
export interface SelectionEvent {
  readonly method: string
  /** One entry an image, in the order of the prompt. */
  readonly images: readonly { readonly grid: PatchGrid; readonly selection: TokenSelection }[]
}

/** The time one stage took. */
export interface StageEvent {
  /** encode: vision encoder with taps; select: token selection; prefill: prompt through the decoder; decode: one token. */
  readonly stage: 'encode' | 'select' | 'prefill' | 'decode'
  readonly durationMs: number
  /** Tokens that entered the decoder (prefill, decode), or visual tokens seen (encode, select). */
  readonly tokens: number
}

/** Options with defaults, checked. */
export interface PruningPlan extends QuestionSource {
  readonly pruner: Pruner
  readonly budget: Budget
  readonly split: BudgetSplit
  readonly onSelection: (event: SelectionEvent) => void
  readonly onStage: (event: StageEvent) => void
}

const OWN = new Set(['keep', 'split', 'method', 'question', 'tokenizer', 'textTower', 'onSelection', 'onStage'])
const nothing = () => undefined

/** @throws ArgumentError for a budget, method or option that is refused. */
export function planOf(options: PruningOptions): PruningPlan {
  if (typeof options !== 'object') throw new ArgumentError('options', options, 'an object such as { keep: 192 }')
  const {
    keep = 1 / 3,
    split,
    method = 'hiprune',
    onSelection = nothing,
    onStage = nothing,
    question,
    tokenizer,
    textTower,
  } = options
  const methodOptions = Object.fromEntries(Object.entries(options).filter(([name]) => !OWN.has(name)))
  const pruner = createPruner(method, methodOptions)
  const budget = parseBudget(keep)
  const chosen = checkSplit(split ?? (budget.kind === 'auto' ? 'complexity' : 'even'))
  return { pruner, budget, split: chosen, question, tokenizer, textTower, onSelection, onStage }
}

/** The plan of one call that overrides some of the model's options; callbacks of both are called. */
export function planOfCall(options: PruningOptions, own: PruningOptions): PruningPlan {
  return planOf({
    ...options,
    ...own,
    onSelection: (event) => {
      options.onSelection?.(event)
      own.onSelection?.(event)
    },
    onStage: (event) => {
      options.onStage?.(event)
      own.onStage?.(event)
    },
  })
}
