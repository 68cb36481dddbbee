import { median } from '../statistics.js'

/** Several measurements of one thing. */
export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly runs: number
}

/** Median and range. @throws when there is nothing to summarise, which is a fault of the caller's. */
export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('no measurements to summarise')
  return { median: median(values), low: Math.min(...values), high: Math.max(...values), runs: values.length }
}

/** Ratios round by round, so that what slows a whole round down falls out. */
export function ratios(over: readonly number[], under: readonly number[]): Summary {
  return summarise(over.map((value, round) => value / (under[round] as number)))
}
