import { llmFlops } from '../flops/count.js'
import { paperClock } from '../flops/paper.js'
import { knownShape } from '../flops/shape.js'
import type { ModelBench } from './bench-model.js'
import type { LeakResult } from './leak.js'
import type { VariantResult } from './stages.js'

/** A promise, and what was measured. */
export interface Goal {
  readonly goal: string
  readonly model: string
  /** undefined where it does not apply or was not measured. */
  readonly met: boolean | undefined
  readonly measured: string
}

/** Share of the ideal prefill speed-up that must be reached. */
const PREFILL_SHARE = 0.9
/** Visual tokens from which prefill is long enough to be judged. */
const PREFILL_TOKENS = 576
/** Selection and taps, as a share of the encoder's time. */
const SELECTION_SHARE = 0.01
/** Growth that counts as none: 50 KB a call. */
const LEAK_BYTES = 50_000

/** Every goal for every model. */
export function judge(models: readonly ModelBench[], leak?: LeakResult & { readonly model: string }): Goal[] {
  return [
    ...models.map(prefillGoal),
    ...models.map(selectionGoal),
    ...models.map(kvGoal),
    ...(leak ? [leakGoal(leak)] : []),
  ]
}

/** The paper's own speed-up at a third of the tokens, as a share of its FLOP ratio. */
export function paperPrefillShare(): number {
  const { model, textTokens, prefillMs } = paperClock
  const flops = (visual: number) => llmFlops(knownShape(model), visual + textTokens, 'calflops')
  return prefillMs[576] / prefillMs[192] / (flops(576) / flops(192))
}

function prefillGoal({ name, variants }: ModelBench): Goal {
  const goal = `prefill at 1/3 reaches ${percent(PREFILL_SHARE, 0)} of the FLOP ratio (the paper's clock: ${percent(paperPrefillShare(), 0)})`
  const third = variants.find(isThird)
  const prefill = third?.stages.prefillMs
  if (!third?.ideal || !prefill) return { goal, model: name, met: undefined, measured: 'not measured' }
  const { ideal } = third
  const { median, low, high } = prefill.speedUp
  const share = median / ideal.prefill
  const measured =
    `${percent(share, 0)}: ${median.toFixed(2)} x (${low.toFixed(2)} to ${high.toFixed(2)}) of ${ideal.prefill.toFixed(2)} x; ` +
    `with attention counted, ${percent(median / ideal.prefillExecuted, 0)} of ${ideal.prefillExecuted.toFixed(2)} x`
  if (third.visualTokens < PREFILL_TOKENS)
    return {
      goal,
      model: name,
      met: undefined,
      measured: `${measured}; asked of ${PREFILL_TOKENS} tokens, not of ${third.visualTokens}`,
    }
  return { goal, model: name, met: share >= PREFILL_SHARE, measured }
}

function isThird({ visualTokens, keptTokens, budget }: VariantResult): boolean {
  return budget !== 'all' && Math.abs(keptTokens - visualTokens / 3) < 1
}

function selectionGoal({ name, variants, encoder }: ModelBench): Goal {
  const goal = `selection and taps take at most ${percent(SELECTION_SHARE, 0)} of the encoder's time`
  const third = variants.find(isThird) ?? variants[1]
  const select = third?.stages.selectMs
  if (!encoder || !select) return { goal, model: name, met: undefined, measured: 'not measured' }
  const { addedShare, ratio, plain } = encoder
  const selection = select.times.median / plain.median
  const wallClock = `wall clock ${ratio.median.toFixed(3)} x, ${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}`
  if (addedShare === undefined) {
    // Wall clocks scatter by more than what is looked for: only a range that lies on one side of the goal tells.
    const [least, most] = [ratio.low, ratio.high].map((value) => Math.max(0, value - 1) + selection) as [number, number]
    const met = most <= SELECTION_SHARE ? true : least > SELECTION_SHARE ? false : undefined
    return { goal, model: name, met, measured: `taps by ${wallClock}; selection ${percent(selection, 2)}` }
  }
  // What the added nodes take, over what the encoder takes without them.
  const taps = addedShare / (1 - addedShare)
  const parts = `taps ${percent(taps, 2)} (by profile; ${wallClock}), selection ${percent(selection, 2)}`
  const measured = `${percent(taps + selection, 2)}: ${parts}`
  return { goal, model: name, met: taps + selection <= SELECTION_SHARE, measured }
}

function kvGoal({ name, variants, kvBytesPerToken }: ModelBench): Goal {
  const goal = 'KV cache is exactly proportional to the prompt'
  const [all] = variants as [VariantResult]
  const perToken = all.kvCacheBytes / all.promptTokens
  const bytes = variants.map(({ kvCacheBytes }) => Math.round(kvCacheBytes).toLocaleString('en-US')).join(', ')
  const isProportional = variants.every(
    ({ kvCacheBytes, promptTokens }) => Math.round(kvCacheBytes) === Math.round(perToken * promptTokens),
  )
  // A cache of float16 takes half.
  const isAsConfigured = kvBytesPerToken === undefined || [1, 2].includes(kvBytesPerToken / perToken)
  const measured = `${bytes} bytes for ${variants.map(({ promptTokens }) => promptTokens).join(', ')} tokens`
  return { goal, model: name, met: isProportional && isAsConfigured, measured }
}

function leakGoal({ model, calls, bytesPerCall, residentBytes }: LeakResult & { readonly model: string }): Goal {
  const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(1)} KB`
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  return {
    goal: `no memory growth: under ${kilobytes(LEAK_BYTES)} a call`,
    model,
    met: bytesPerCall < LEAK_BYTES,
    measured: `${kilobytes(bytesPerCall)} a call over ${calls} calls, from ${mebibytes(residentBytes[0] ?? 0)} to ${mebibytes(residentBytes.at(-1) ?? 0)}`,
  }
}

function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`
}
