import { mmePerception } from '../datasets/mme.js'
import type { Judged, Metrics, Rule, WeightOf } from './rule.js'

/** The benchmark's reading: yes or no, or found in the first four characters; otherwise other, which is wrong. */
export function mmeAnswer(answer: string): 'yes' | 'no' | 'other' {
  return yesOrNo(answer.toLowerCase())
}

/** lmms-eval's: periods removed first, and a single y or n will do. */
export function lmmsMmeAnswer(answer: string): 'yes' | 'no' | 'other' {
  const text = answer.toLowerCase().trim().replaceAll('.', '')
  if (text.length === 1) return text === 'y' ? 'yes' : text === 'n' ? 'no' : 'other'
  return yesOrNo(text)
}

function yesOrNo(text: string): 'yes' | 'no' | 'other' {
  const start = text === 'yes' || text === 'no' ? text : text.slice(0, 4)
  return start.includes('yes') ? 'yes' : start.includes('no') ? 'no' : 'other'
}

const judgeBy =
  (read: typeof mmeAnswer): Rule['judge'] =>
  (example, answer) => ({ read: read(answer), score: read(answer) === example.answers[0] ? 1 : 0 })

/** MME as its own tool and LLaVA score it. */
export const officialMme: Rule = {
  description: 'MME: accuracy + accuracy+ per category, 0 to 200 each; perception and cognition summed',
  headline: 'score',
  scale: 'points',
  judge: judgeBy(mmeAnswer),
  metrics: mmeMetrics,
}

export const lmmsMme: Rule = {
  ...officialMme,
  description: 'MME by lmms-eval: as the benchmark, with periods removed and y, n accepted',
  judge: judgeBy(lmmsMmeAnswer),
  sample({ example, score }) {
    const isPerception = (mmePerception as readonly string[]).includes(example.type)
    // Their spelling.
    const name = isPerception ? 'mme_percetion_score' : 'mme_cognition_score'
    return { [name]: { question_id: example.group, category: example.type, score } }
  },
}

/** score = perception + cognition; each the sum over its categories of accuracy and of pictures with both answers right. */
function mmeMetrics(judged: readonly Judged[], weightOf: WeightOf = () => 1): Metrics {
  const categories = new Map<string, Map<string, { weight: number; right: number; of: number }>>()
  judged.forEach(({ example, score }, i) => {
    const pictures = categories.get(example.type) ?? new Map<string, { weight: number; right: number; of: number }>()
    categories.set(example.type, pictures)
    const key = example.group ?? example.id
    const { weight, right, of } = pictures.get(key) ?? { weight: weightOf(i), right: 0, of: 0 }
    pictures.set(key, { weight, right: right + score, of: of + 1 })
  })
  let [perception, cognition] = [0, 0]
  for (const [category, pictures] of categories) {
    let [weights, answers, right, both] = [0, 0, 0, 0]
    for (const picture of pictures.values()) {
      weights += picture.weight
      answers += picture.weight * picture.of
      right += picture.weight * picture.right
      if (picture.right === picture.of) both += picture.weight
    }
    const score = weights === 0 ? 0 : 100 * (right / answers + both / weights)
    if ((mmePerception as readonly string[]).includes(category)) perception += score
    else cognition += score
  }
  return { score: perception + cognition, perception, cognition }
}
