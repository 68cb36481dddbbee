import { LETTERS, type Example } from '../datasets/example.js'
import { accuracy, meanRule, type Rule } from './rule.js'

/** LLaVA's reading of a choice: the letter alone, `X. ...`, or one `The answer is X.`; otherwise none. */
export function llavaLetter(answer: string, numChoices: number): string {
  const text = answer.replaceAll('\n', '. ')
  const letters: readonly string[] = LETTERS
  const named = [...text.matchAll(/The answer is ([A-Z])./g)]
  const letter = letters.includes(text)
    ? text
    : /^[A-E]\. /.test(text)
      ? (text[0] as string)
      : named.length === 1
        ? (named[0]?.[1] as string)
        : ''
  return letters.slice(0, numChoices).includes(letter) ? letter : ''
}

function judgeLetter(example: Example, answer: string) {
  const read = llavaLetter(answer, example.choices?.length ?? LETTERS.length)
  return { read, score: read === example.answers[0] ? 1 : 0 }
}

/** ScienceQA by LLaVA. */
export const llavaChoice = meanRule('the letter, "X. ...", or "The answer is X." (LLaVA)', judgeLetter)

/** ScienceQA by lmms-eval. */
export const lmmsChoice = meanRule('the letter, or anything that starts with "X." (lmms-eval)', (example, answer) => {
  const read = /^\p{Lu}\./u.test(answer) ? (answer[0] as string) : answer
  return { read, score: read === example.answers[0] ? 1 : 0 }
})

/** MMBench by letter, without the language model that its server asks; a question's rotations also count together. */
export const localMmBench: Rule = {
  description: 'MMBench by its letter alone; circular: all rotations of a question right',
  headline: 'accuracy',
  judge: judgeLetter,
  metrics(judged, weightOf = () => 1) {
    const { accuracy: each } = accuracy(judged, weightOf)
    const groups = new Map<string, { weight: number; right: boolean }>()
    judged.forEach(({ example, score }, i) => {
      const group = groups.get(example.group ?? example.id) ?? { weight: weightOf(i), right: true }
      groups.set(example.group ?? example.id, { ...group, right: group.right && score === 1 })
    })
    const total = sumOf([...groups.values()].map(({ weight }) => weight))
    const right = sumOf([...groups.values()].map(({ weight, right }) => (right ? weight : 0)))
    return { accuracy: each as number, circular: right / total }
  },
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
