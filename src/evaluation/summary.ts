import { intervalOf } from '../analysis/statistics.js'
import type { Example } from './datasets/example.js'
import { dataSets, type DataSetName } from './datasets/index.js'
import type { ImageRecord } from './evaluate-image.js'
import { accuracy, type Judged, type Metrics, type Rule } from './metrics/rule.js'
import type { PlannedImage } from './plan.js'
import { bootstrapCounts, mcnemar, type PairedTest } from './statistics.js'
import { ALL_TOKENS, type Cell } from './variants.js'

/** A number with its 95 % bootstrap interval over pictures. */
export interface Estimate {
  readonly value: number
  readonly low95: number
  readonly high95: number
}

/** How one variant at one budget did on a set. */
export interface CellSummary {
  /** The cell's key, or {@link ALL_TOKENS}. */
  readonly cell: string
  readonly label: string
  readonly budget: string
  /** Every number of the rule. */
  readonly metrics: Metrics
  /** The headline number. */
  readonly result: Estimate
  /** The headline number as a share of that with all tokens; drawn in pairs. */
  readonly keptShare: Estimate
  /** Visual tokens that the language model saw, mean over pictures. */
  readonly tokens: number
  readonly types: readonly (Estimate & { readonly type: string; readonly questions: number })[]
  /** Against the reference variant at the same budget: `first` counts what only this cell got right. */
  readonly versus?: PairedTest
}

/** A set under one rule. */
export interface SetSummary {
  readonly set: DataSetName
  readonly title: string
  readonly rule: string
  readonly description: string
  readonly headline: string
  readonly scale: 'share' | 'points'
  readonly images: number
  readonly questions: number
  /** Label of the variant that others are tested against. */
  readonly reference: string
  readonly cells: readonly CellSummary[]
}

/** Answers of one set, in the order of the plan. */
export interface SetAnswers {
  readonly set: DataSetName
  readonly examples: readonly Example[]
  /** Number of each example's picture in the run. */
  readonly pictures: readonly number[]
  /** By cell; null where the cell has none. */
  readonly answers: ReadonlyMap<string, readonly (string | null)[]>
}

const SAMPLES = 1000
/** For rules that have to be counted anew on each sample. */
const SLOW_SAMPLES = 400

/** Sorts a run's answers by set. */
export function answersBySet(images: readonly PlannedImage[], records: readonly ImageRecord[]): SetAnswers[] {
  const names = [...new Set(images.flatMap(({ asks }) => asks.map(({ set }) => set)))]
  return names.map((set) => {
    const places = images.flatMap(({ asks }, picture) =>
      asks.flatMap((ask, i) => (ask.set === set && picture < records.length ? [{ ...ask, picture, i }] : [])),
    )
    const cells = Object.keys(records[0]?.answers ?? {})
    const answersOf = (cell: string) =>
      places.map(({ picture, i }) => (records[picture] as ImageRecord).answers[cell]?.[i] ?? null)
    return {
      set,
      examples: places.map(({ example }) => example),
      pictures: places.map(({ picture }) => picture),
      answers: new Map(cells.map((cell) => [cell, answersOf(cell)])),
    }
  })
}

/** Judges all answers of a cell; undefined when it has none for some example. */
export function judgeCell(rule: Rule, { examples, answers }: SetAnswers, cell: string): Judged[] | undefined {
  const texts = answers.get(cell)
  if (!texts || texts.includes(null)) return undefined
  return examples.map((example, i) => ({ example, ...rule.judge(example, texts[i] as string) }))
}

/**
 * All numbers of a run: metrics with bootstrap intervals, share of the unpruned model's, by type, and McNemar's test against
 * the reference variant.
 *
 * @param reference Label of a variant. Default: hiprune, or else the first one.
 */
export function summarize(
  images: readonly PlannedImage[],
  records: readonly ImageRecord[],
  cells: readonly Cell[],
  seed: number,
  reference = cells.find(({ variant }) => variant.label === 'hiprune')?.variant.label ?? cells[0]?.variant.label ?? '',
): SetSummary[] {
  const counts = bootstrapCounts(records.length, SAMPLES, seed)
  return answersBySet(images, records).flatMap((set) =>
    Object.entries(dataSets[set.set].rules).map(([name, rule]) => {
      const tokensOf = (key: string) => meanOf(records.map(({ kept }) => kept[key] as number))
      const rows = cellSummaries(set, rule, cells, counts, reference, tokensOf)
      return {
        set: set.set,
        title: dataSets[set.set].title,
        rule: name,
        description: rule.description,
        headline: rule.headline,
        scale: rule.scale ?? 'share',
        images: new Set(set.pictures).size,
        questions: set.examples.length,
        reference,
        cells: rows,
      }
    }),
  )
}

function cellSummaries(
  set: SetAnswers,
  rule: Rule,
  cells: readonly Cell[],
  counts: readonly Uint16Array[],
  reference: string,
  tokensOf: (key: string) => number,
): CellSummary[] {
  const all = judgeCell(rule, set, ALL_TOKENS) as Judged[]
  const allSamples = samplesOf(rule, all, set.pictures, counts)
  const allValue = rule.metrics(all)[rule.headline] as number
  const scoresOf = new Map<string, number[] | undefined>()
  const scores = (key: string) => {
    if (!scoresOf.has(key))
      scoresOf.set(
        key,
        judgeCell(rule, set, key)?.map(({ score }) => score),
      )
    return scoresOf.get(key)
  }
  const summary = (key: string, label: string, budget: string): CellSummary[] => {
    const judged = judgeCell(rule, set, key)
    if (!judged) return []
    const metrics = rule.metrics(judged)
    const value = metrics[rule.headline] as number
    const samples = samplesOf(rule, judged, set.pictures, counts)
    const other = label === reference || budget === '' ? undefined : scores(`${reference}@${budget}`)
    return [
      {
        cell: key,
        label,
        budget,
        metrics,
        result: estimate(value, samples),
        keptShare: estimate(
          value / allValue,
          samples.map((sample, i) => sample / (allSamples[i] as number)),
        ),
        tokens: tokensOf(key),
        types: typesOf(rule, judged, set.pictures, counts),
        ...(other && { versus: mcnemar(scores(key) as number[], other) }),
      },
    ]
  }
  return [
    ...summary(ALL_TOKENS, ALL_TOKENS, ''),
    ...cells.flatMap(({ key, variant, budget }) => summary(key, variant.label, budget)),
  ]
}

function typesOf(
  rule: Rule,
  judged: readonly Judged[],
  pictures: readonly number[],
  counts: readonly Uint16Array[],
): CellSummary['types'] {
  const types = [...new Set(judged.map(({ example }) => example.type))].sort()
  if (types.length < 2) return []
  return types.map((type) => {
    const indices = judged.flatMap(({ example }, i) => (example.type === type ? [i] : []))
    const part = indices.map((i) => judged[i] as Judged)
    const places = indices.map((i) => pictures[i] as number)
    const value = rule.metrics(part)[rule.headline] as number
    return { type, questions: part.length, ...estimate(value, samplesOf(rule, part, places, counts)) }
  })
}

/** The headline number of every bootstrap sample. */
function samplesOf(
  rule: Rule,
  judged: readonly Judged[],
  pictures: readonly number[],
  counts: readonly Uint16Array[],
): number[] {
  if (rule.metrics === accuracy) return meansOf(judged, pictures, counts)
  return counts.slice(0, SLOW_SAMPLES).map((drawn) => {
    return rule.metrics(judged, (i) => drawn[pictures[i] as number] as number)[rule.headline] as number
  })
}

/** The same for a mean of scores, from sums per picture. */
function meansOf(judged: readonly Judged[], pictures: readonly number[], counts: readonly Uint16Array[]): number[] {
  const numPictures = counts[0]?.length ?? 0
  const [sums, sizes] = [new Float64Array(numPictures), new Float64Array(numPictures)]
  judged.forEach(({ score }, i) => {
    const picture = pictures[i] as number
    sums[picture] = (sums[picture] as number) + score
    sizes[picture] = (sizes[picture] as number) + 1
  })
  return counts.map((drawn) => {
    let [sum, size] = [0, 0]
    for (let i = 0; i < numPictures; i++) {
      sum += (drawn[i] as number) * (sums[i] as number)
      size += (drawn[i] as number) * (sizes[i] as number)
    }
    return sum / size
  })
}

/** Samples without any question of a rare type say nothing. */
function estimate(value: number, samples: readonly number[]): Estimate {
  const [low95, high95] = intervalOf(samples.filter((sample) => Number.isFinite(sample)))
  return { value, low95, high95 }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
