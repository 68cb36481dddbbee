import { meanRule } from './rule.js'

/** GQA by LLaVA's converter: case and final periods ignored. */
export const llavaExact = meanRule('exact match; case and final periods ignored (LLaVA)', ({ answers }, answer) => {
  const read = answer.replace(/\.+$/, '').toLowerCase()
  return { read, score: answers.some((accepted) => accepted.toLowerCase() === read) ? 1 : 0 }
})

/** lmms-eval's exact_match with ignore_case and ignore_punctuation. */
export const lmmsExact = meanRule('exact match; case and punctuation ignored (lmms-eval)', ({ answers }, answer) => {
  const read = withoutPunctuation(answer)
  return { read, score: answers.some((accepted) => withoutPunctuation(accepted) === read) ? 1 : 0 }
})

/** Ours: any accepted answer; case, spaces around and a final period ignored. */
export const plainExact = meanRule(
  'exact match with any accepted answer; case, outer spaces and a final period ignored',
  ({ answers }, answer) => {
    const read = plain(answer)
    return { read, score: answers.some((accepted) => plain(accepted) === read) ? 1 : 0 }
  },
)

function plain(text: string): string {
  return text.trim().toLowerCase().replace(/\s+/g, ' ').replace(/ ?\.$/, '')
}

/** ASCII punctuation, as Python's string.punctuation has it. */
function withoutPunctuation(text: string): string {
  return text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, '')
}
