/** Several measurements of one thing. */
export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly runs: number
}

/** Median and range. @throws when there is nothing to summarise, which is a fault of the caller's. */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined) throw new Error('no measurements to summarise')
  return { median: medianOf(sorted), low, high, runs: sorted.length }
}

/** Ratios round by round, so that what slows a whole round down falls out. */
export function ratios(over: readonly number[], under: readonly number[]): Summary {
  return summarise(over.map((value, round) => value / (under[round] as number)))
}

function medianOf(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}
