import type { Example } from './datasets/example.js'
import { LETTERS } from './datasets/example.js'
import type { Judged } from './metrics/rule.js'
import type { Rule } from './metrics/rule.js'

/**
 * One line of an answers file as LLaVA's evaluation scripts write and read them.
 *
 * @param answerId Any text that no other answer has.
 * @param modelId The model's name, with what pruned it.
 */
export function llavaAnswer(example: Example, text: string, answerId: string, modelId: string): object {
  const choices = example.image && 'base64' in example.image ? example.choices : undefined
  const round = choices && { round_id: 0, options: choices, option_char: LETTERS.slice(0, choices.length) }
  return {
    question_id: example.llavaId,
    prompt: example.prompt,
    text,
    ...round,
    answer_id: answerId,
    model_id: modelId,
    metadata: {},
  }
}

/** One line of a samples file of lmms-eval. @param hash SHA-256, hexadecimal. */
export function lmmsSample(index: number, judged: Judged, answer: string, rule: Rule, hash: (text: string) => string) {
  const { example, score } = judged
  const [only, ...more] = example.answers
  const target = more.length > 0 ? example.answers : (only ?? '')
  return {
    doc_id: index,
    doc: example.doc,
    target,
    arguments: [example.prompt],
    resps: [[answer]],
    filtered_resps: [answer],
    doc_hash: hash(JSON.stringify(example.doc, null, 2)),
    prompt_hash: hash(example.prompt),
    target_hash: hash(String(target)),
    ...(rule.sample?.(judged) ?? { exact_match: score }),
  }
}
