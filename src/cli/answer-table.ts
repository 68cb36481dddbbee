import Table from 'cli-table3'
import type { Answer } from '../index.js'

/** All tokens beside pruned tokens, one row a quantity. */
export function answerTable(all: Answer, pruned: Answer): string {
  const table = new Table({
    head: ['', 'all tokens', pruned.method, 'all / kept'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right', 'right', 'right'],
  })
  for (const { name, of, unit } of QUANTITIES) {
    const [before, after] = [of(all), of(pruned)]
    table.push([name, unit(before), unit(after), after > 0 && before > 0 ? (before / after).toFixed(2) : ''])
  }
  table.push(['answer', all.text, pruned.text, all.text === pruned.text ? 'same' : 'differs'])
  return table.toString()
}

/** One line that says what an answer took. */
export function answerCost({ method, visualTokens, keptTokens, times }: Answer): string {
  const cost = `first token after ${milliseconds(times.timeToFirstTokenMs)}, prefill ${milliseconds(times.prefillMs)}`
  return `(${method}: ${keptTokens} of ${visualTokens} visual tokens, ${cost})`
}

const milliseconds = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`
const count = (value: number) => String(value)
const kibibytes = (value: number) => `${(value / 1024).toFixed(1)} KiB`

const QUANTITIES: readonly { name: string; of: (answer: Answer) => number; unit: (value: number) => string }[] = [
  { name: 'visual tokens', of: ({ keptTokens }) => keptTokens, unit: count },
  { name: 'prompt tokens', of: ({ promptTokens }) => promptTokens, unit: count },
  { name: 'preprocess', of: ({ times }) => times.preprocessMs, unit: milliseconds },
  { name: 'encode', of: ({ times }) => times.encodeMs, unit: milliseconds },
  { name: 'select', of: ({ times }) => times.selectMs, unit: milliseconds },
  { name: 'prefill', of: ({ times }) => times.prefillMs, unit: milliseconds },
  { name: 'time to first token', of: ({ times }) => times.timeToFirstTokenMs, unit: milliseconds },
  { name: 'decode per token', of: ({ times }) => times.decodeMsPerToken, unit: milliseconds },
  { name: 'KV cache of the prompt', of: ({ kvCacheBytes }) => kvCacheBytes, unit: kibibytes },
]
