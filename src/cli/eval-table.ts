import Table from 'cli-table3'
import type { CellSummary, Estimate, SetSummary } from '../evaluation/index.js'

/** A set's results for the terminal. */
export function summaryTable({
  title,
  rule,
  headline,
  scale,
  images,
  questions,
  cells,
  reference,
}: SetSummary): string {
  const table = new Table({
    head: ['method', 'budget', 'tokens', headline, '95 %', 'of all tokens', '95 %', `p against ${reference}`],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right'],
  })
  for (const cell of cells) table.push(rowOf(cell, scale))
  return `${title}, rule ${rule}: ${questions} questions about ${images} images\n${table.toString()}`
}

function rowOf(
  { label, budget, tokens, result, keptShare, versus }: CellSummary,
  scale: SetSummary['scale'],
): string[] {
  const number = (value: number) => (scale === 'share' ? (100 * value).toFixed(1) : value.toFixed(0))
  const percent = (value: number) => (100 * value).toFixed(1)
  const range = ({ low95, high95 }: Estimate, show: (value: number) => string) => `${show(low95)} to ${show(high95)}`
  return [
    label,
    budget,
    tokens.toFixed(0),
    number(result.value),
    range(result, number),
    percent(keptShare.value),
    range(keptShare, percent),
    versus ? versus.p.toPrecision(2) : '',
  ]
}
