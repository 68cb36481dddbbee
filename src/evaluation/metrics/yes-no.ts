import type { Judged, Metrics, Rule, WeightOf } from './rule.js'

const once: WeightOf = () => 1

/** LLaVA's reading of POPE: the first sentence without commas; any of No, not, no as a word is a no, all else a yes. */
export function llavaYesNo(answer: string): 'yes' | 'no' {
  const words = (answer.split('.')[0] as string).replaceAll(',', '').split(' ')
  return ['No', 'not', 'no'].some((word) => words.includes(word)) ? 'no' : 'yes'
}

/** POPE as LLaVA scores it: each split by itself, and the mean over splits. */
export const llavaPope: Rule = {
  description: 'POPE by LLaVA: first sentence, a no-word is a no, all else a yes; mean over splits',
  headline: 'F1',
  judge(example, answer) {
    const read = llavaYesNo(answer)
    return { read, score: read === example.answers[0] ? 1 : 0 }
  },
  metrics(judged, weightOf = once) {
    const splits = [...new Set(judged.map(({ example }) => example.type))]
    const each = splits.map((split) =>
      yesNoMetrics(judged, (i) => ((judged[i] as Judged).example.type === split ? weightOf(i) : 0)),
    )
    return Object.fromEntries(
      Object.keys(each[0] ?? {}).map((name) => [
        name,
        each.reduce((sum, metrics) => sum + (metrics[name] as number), 0) / each.length,
      ]),
    )
  },
}

/** POPE as lmms-eval scores it: exact match of yes or no, counted over all splits together. */
export const lmmsPope: Rule = {
  description: 'POPE by lmms-eval: exact match of yes or no; all splits pooled',
  headline: 'F1',
  judge(example, answer) {
    const read = answer.toLowerCase().trim()
    return { read, score: read === example.answers[0] ? 1 : 0 }
  },
  metrics: yesNoMetrics,
  sample({ example, read, score }) {
    const value = { question_id: example.doc['question_id'], score, prediction: read, ground_truth: example.answers[0] }
    const names = ['accuracy', 'precision', 'recall', 'f1_score', 'yes_ratio']
    return Object.fromEntries(names.map((name) => [`pope_${name}`, value]))
  },
}

/** F1, accuracy, precision, recall of yes, and the share of yes among answers. What is neither yes nor no is only wrong. */
export function yesNoMetrics(judged: readonly Judged[], weightOf: WeightOf = once): Metrics {
  let [right, total, yes, truePositive, falsePositive, falseNegative] = [0, 0, 0, 0, 0, 0]
  judged.forEach(({ example, read, score }, i) => {
    const weight = weightOf(i)
    const isYes = example.answers[0] === 'yes'
    right += score * weight
    total += weight
    if (read === 'yes') yes += weight
    if (read === 'yes' && isYes) truePositive += weight
    if (read === 'yes' && !isYes) falsePositive += weight
    if (read === 'no' && isYes) falseNegative += weight
  })
  const precision = ratio(truePositive, truePositive + falsePositive)
  const recall = ratio(truePositive, truePositive + falseNegative)
  const F1 = ratio(2 * precision * recall, precision + recall)
  return { F1, accuracy: ratio(right, total), precision, recall, 'yes ratio': ratio(yes, total) }
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}
