import { median } from '../evaluation/index.js'
import { ask, type Answer, type AskOptions, type PrunedModel, type StageTimes, type Visual } from '../index.js'

/**
 * Answers from all visual tokens and from the kept ones. Runs alternate, so that a busy machine slows both alike; the first
 * of each only warms up.
 *
 * @param repeat Measured runs of each; their median times are returned.
 */
export async function compare(
  loaded: PrunedModel,
  images: readonly Visual[],
  question: string,
  options: AskOptions,
  repeat: number,
): Promise<{ all: Answer; pruned: Answer }> {
  const all: Answer[] = []
  const pruned: Answer[] = []
  for (let run = 0; run <= repeat; run++) {
    all.push(await ask(loaded, images, question, { ...options, method: 'none' }))
    pruned.push(await ask(loaded, images, question, options))
  }
  return { all: withMedianTimes(all.slice(1)), pruned: withMedianTimes(pruned.slice(1)) }
}

function withMedianTimes(answers: readonly Answer[]): Answer {
  const [first] = answers as [Answer]
  const names = Object.keys(first.times) as (keyof StageTimes)[]
  const medians = names.map((name) => [name, median(answers.map(({ times }) => times[name]))])
  return { ...first, times: Object.fromEntries(medians) as Record<keyof StageTimes, number> }
}
