import type { RawImage } from '@huggingface/transformers'
import { ask, type PrunedModel } from '../../generation/index.js'
import type { BenchHost } from './host.js'

export interface LeakResult {
  readonly calls: number
  /** Calls before these, while buffers still grow to their size. */
  readonly warmUpCalls: number
  /** Slope of the least-squares line through the resident memory after each call. */
  readonly bytesPerCall: number
  /** Resident memory after each call. */
  readonly residentBytes: readonly number[]
}

const WARM_UP = 40

/**
 * Resident memory over many `generate()` calls, all tokens and a third of them in turn, after garbage collection.
 *
 * @returns undefined where the memory of the process cannot be read.
 */
export async function measureLeak(
  loaded: PrunedModel,
  image: RawImage,
  question: string,
  calls: number,
  host: BenchHost,
  onRun?: (done: number, total: number) => void,
): Promise<LeakResult | undefined> {
  if (!host.residentBytes) return undefined
  const resident: number[] = []
  for (let call = 0; call < WARM_UP + calls; call++) {
    const method = call % 2 === 0 ? ({ method: 'none' } as const) : { keep: '1/3' }
    await ask(loaded, [image], question, { ...method, max_new_tokens: 4 })
    host.collectGarbage?.()
    if (call >= WARM_UP) resident.push(host.residentBytes())
    onRun?.(call + 1, WARM_UP + calls)
  }
  return { calls, warmUpCalls: WARM_UP, bytesPerCall: slopeOf(resident), residentBytes: resident }
}

/** Slope of the least-squares line through (0, y0), (1, y1), ...; 0 for a single value. */
export function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const product = values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0)
  const square = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0)
  return square === 0 ? 0 : product / square
}
