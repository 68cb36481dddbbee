import type { FirstTokenTimes } from './engine/time-image.js'
import type { ImageRecord } from './evaluate-image.js'
import { median } from './statistics.js'

/** Median stage times of a cell over the timed pictures. */
export interface TimeSummary extends FirstTokenTimes {
  readonly cell: string
  readonly images: number
  /** Median over pictures of the sum of the stages. */
  readonly firstTokenMs: number
}

/** Median times by cell; empty for a run without timed pictures. */
export function medianTimes(records: readonly ImageRecord[]): TimeSummary[] {
  const timed = records.flatMap(({ times }) => (times ? [times] : []))
  return Object.keys(timed[0] ?? {}).map((cell) => {
    const all = timed.map((times) => times[cell] as FirstTokenTimes)
    const medianOf = (of: (times: FirstTokenTimes) => number) => median(all.map(of))
    return {
      cell,
      images: all.length,
      preprocessMs: medianOf(({ preprocessMs }) => preprocessMs),
      encodeMs: medianOf(({ encodeMs }) => encodeMs),
      selectMs: medianOf(({ selectMs }) => selectMs),
      prefillMs: medianOf(({ prefillMs }) => prefillMs),
      firstTokenMs: medianOf((times) => times.preprocessMs + times.encodeMs + times.selectMs + times.prefillMs),
    }
  })
}
