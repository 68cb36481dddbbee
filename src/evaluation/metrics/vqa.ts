import { meanRule } from './rule.js'
import { officialAnswer, oneLine, pythiaAnswer, pythiaRewriting } from './vqa-words.js'

/** Mean over the sets of all but one answer of min(1, matches / 3). */
export function vqaAccuracy(answers: readonly string[], answer: string): number {
  const matches = answers.filter((other) => other === answer).length
  // Leaving out a matching answer leaves one match less.
  const without = (own: string) => Math.min(1, (matches - (own === answer ? 1 : 0)) / 3)
  return answers.reduce((sum, own) => sum + without(own), 0) / answers.length
}

/** VQAv2's and VizWiz's official evaluation: answers are rewritten only where people disagreed. */
export const officialVqa = meanRule('VQA accuracy by the official evaluation', ({ answers }, answer) => {
  const people = answers.map(oneLine)
  const disagree = new Set(people).size > 1
  const read = disagree ? officialAnswer(oneLine(answer)) : oneLine(answer)
  return { read, score: vqaAccuracy(disagree ? people.map(officialAnswer) : people, read) }
})

/** TextVQA by LLaVA and lmms-eval, VizWiz by lmms-eval: everything is rewritten by Pythia's processor. */
export const pythiaVqa = meanRule("VQA accuracy with Pythia's answer processor", ({ answers }, answer) => {
  const read = pythiaAnswer(answer)
  return { read, score: vqaAccuracy(answers.map(pythiaAnswer), read) }
})

/** VQAv2 by lmms-eval: the model's answer always, people's answers only where they disagreed. */
export const lmmsVqa = meanRule('VQA accuracy by lmms-eval', ({ answers }, answer) => {
  const people = answers.map(oneLine)
  const disagree = new Set(people).size > 1
  const read = disagree ? pythiaRewriting(pythiaAnswer(answer)) : pythiaAnswer(answer)
  return { read, score: vqaAccuracy(disagree ? people.map(pythiaRewriting) : people, read) }
})
