import type { RawImage } from '@huggingface/transformers'
import { ask, type Answer, type PrunedModel, type StageTimes } from '../../generation/index.js'
import { parseBudget, resolveBudget, type BudgetInput, type PrunerName } from '../../pruning/index.js'
import { countFlops, llmFlops } from '../flops/count.js'
import type { VlmShape } from '../flops/shape.js'
import type { BenchHost } from './host.js'
import { ratios, summarise, type Summary } from './summary.js'

export interface StageOptions {
  readonly images: readonly RawImage[]
  readonly question: string
  /** Budgets to compare with all tokens. */
  readonly budgets: readonly BudgetInput[]
  readonly method: PrunerName
  /** Measured rounds; a round asks once with all tokens and once with each budget. */
  readonly repeat: number
  readonly newTokens: number
  /** Sizes that the ideal speed-ups are counted from. */
  readonly shape?: VlmShape | undefined
  readonly host?: BenchHost | undefined
  readonly onRun?: ((done: number, total: number) => void) | undefined
}

export type StageName = keyof StageTimes

export interface StageResult {
  /** Milliseconds. */
  readonly times: Summary
  /** All tokens over these, round by round: above 1 is faster than with all tokens. */
  readonly speedUp: Summary
}

/** All tokens, or one budget. */
export interface VariantResult {
  /** `all`, or the budget as it was given. */
  readonly budget: string
  readonly method: string
  readonly visualTokens: number
  readonly keptTokens: number
  readonly promptTokens: number
  readonly newTokens: number
  readonly kvCacheBytes: number
  /** Highest resident memory of the process when nothing larger had run before. */
  readonly peakBytes?: number
  readonly stages: Readonly<Partial<Record<StageName, StageResult>>>
  readonly ideal?: IdealSpeedUps
}

/** What the operations alone would give: all tokens over these. */
export interface IdealSpeedUps {
  /** Language model, counted as in the paper: linear layers only. */
  readonly prefill: number
  /** Language model with its attention, as it is executed. */
  readonly prefillExecuted: number
  /** Encoder, projector and language model, counted as in the paper. */
  readonly timeToFirstToken: number
}

/**
 * Measures every stage with all visual tokens and with each budget, alternating within one run: A-B-C, A-B-C, ... A round of
 * warming up comes first, from few tokens to many, and takes the memory of each.
 */
export async function benchStages(loaded: PrunedModel, options: StageOptions): Promise<VariantResult[]> {
  const { images, question, budgets, method, repeat, newTokens, host, onRun } = options
  const variants = [undefined, ...budgets]
  const run = (keep: BudgetInput | undefined) =>
    ask(loaded, images, question, {
      ...(keep === undefined ? { method: 'none' } : { keep, method }),
      max_new_tokens: newTokens,
    })
  const total = variants.length * (repeat + 1) + 1
  let done = 0
  const peaks = new Map<BudgetInput | undefined, number | undefined>()
  const warmUp = fewestFirst(variants)
  // What loading left behind is given back before memory is looked at.
  await run(warmUp[0])
  onRun?.(++done, total)
  for (const keep of warmUp) {
    host?.collectGarbage?.()
    host?.resetPeak?.()
    await run(keep)
    peaks.set(keep, host?.peakBytes?.())
    onRun?.(++done, total)
  }
  const answers = variants.map((): Answer[] => [])
  for (let round = 0; round < repeat; round++) {
    for (const [i, keep] of variants.entries()) {
      answers[i]?.push(await run(keep))
      onRun?.(++done, total)
    }
  }
  const [all] = answers as [Answer[]]
  return variants.map((keep, i) => variantResult(keep, answers[i] as Answer[], all, peaks.get(keep), options.shape))
}

function fewestFirst(variants: readonly (BudgetInput | undefined)[]): (BudgetInput | undefined)[] {
  const share = (keep: BudgetInput | undefined) => {
    if (keep === undefined) return Infinity
    const budget = parseBudget(keep)
    return budget.kind === 'auto' ? 500 : resolveBudget(budget, 1000)
  }
  return [...variants].sort((a, b) => share(a) - share(b))
}

function variantResult(
  keep: BudgetInput | undefined,
  answers: readonly Answer[],
  all: readonly Answer[],
  peakBytes: number | undefined,
  shape: VlmShape | undefined,
): VariantResult {
  const [{ method, visualTokens, keptTokens, promptTokens, newTokens, kvCacheBytes }] = answers as [Answer]
  return {
    budget: keep === undefined ? 'all' : String(keep),
    method,
    visualTokens,
    keptTokens,
    promptTokens,
    newTokens,
    kvCacheBytes,
    ...(peakBytes !== undefined && { peakBytes }),
    stages: stagesOf(answers, all),
    ...(shape && { ideal: idealOf(shape, answers[0] as Answer) }),
  }
}

function stagesOf(answers: readonly Answer[], all: readonly Answer[]): VariantResult['stages'] {
  const names = Object.keys((answers[0] as Answer).times) as StageName[]
  const timesOf = (list: readonly Answer[], name: StageName) => list.map(({ times }) => times[name])
  const measured = names.flatMap((name) => {
    const [times, before] = [timesOf(answers, name), timesOf(all, name)]
    // An answer of one token decodes nothing.
    if (times.includes(0) || before.includes(0)) return []
    return [[name, { times: summarise(times), speedUp: ratios(before, times) }] as const]
  })
  return Object.fromEntries(measured)
}

function idealOf(shape: VlmShape, { visualTokens, keptTokens, promptTokens }: Answer): IdealSpeedUps {
  const text = promptTokens - keptTokens
  const [before, after] = [visualTokens + text, promptTokens]
  const total = (kept: number) => countFlops(shape, { visual: visualTokens, kept, text }).total
  return {
    prefill: llmFlops(shape, before, 'calflops') / llmFlops(shape, after, 'calflops'),
    prefillExecuted: llmFlops(shape, before, 'executed') / llmFlops(shape, after, 'executed'),
    timeToFirstToken: total(visualTokens) / total(keptTokens),
  }
}
