import type { Example } from '../datasets/example.js'

/** What a rule says about one answer. */
export interface Judgement {
  /** 0 to 1. */
  readonly score: number
  /** The answer as the rule reads it. */
  readonly read: string
}

/** An example with what a rule says about its answer. */
export interface Judged extends Judgement {
  readonly example: Example
}

/** How often each judged example counts; bootstrap samples count some twice and others never. */
export type WeightOf = (index: number) => number

/** The numbers of a set under a rule. The first is the one that tables and figures show. */
export type Metrics = Readonly<Record<string, number>>

/** How answers of a data set are read and counted. */
export interface Rule {
  /** What its numbers are and where they come from, for the reader of a table. */
  readonly description: string
  /** Name of the number that tables and figures show. */
  readonly headline: string
  /** The largest value of the headline: 1 for shares, 200 a category for MME. */
  readonly scale?: 'share' | 'points'
  judge(example: Example, answer: string): Judgement
  metrics(judged: readonly Judged[], weightOf?: WeightOf): Metrics
  /** Fields of an lmms-eval sample beside its score, where it has others. */
  sample?(judged: Judged): Readonly<Record<string, unknown>>
}

const once: WeightOf = () => 1

/** The mean score. Rules that use it can be bootstrapped from sums per picture. */
export function accuracy(judged: readonly Judged[], weightOf: WeightOf = once): Metrics {
  let sum = 0
  let total = 0
  judged.forEach(({ score }, i) => {
    sum += score * weightOf(i)
    total += weightOf(i)
  })
  return { accuracy: sum / total }
}

/** A rule whose number is the mean of its scores. */
export function meanRule(description: string, judge: Rule['judge'], more: Partial<Pick<Rule, 'sample'>> = {}): Rule {
  return { description, headline: 'accuracy', judge, metrics: accuracy, ...more }
}
