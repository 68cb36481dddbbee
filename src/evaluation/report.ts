import type { CellSummary, Estimate, SetSummary } from './summary.js'
import type { TimeSummary } from './times.js'
import { ALL_TOKENS } from './variants.js'

/** Questions are many and methods too: what chance alone gives one time in twenty is called a difference. */
const SIGNIFICANT = 0.05

/** Labels of a summary's variants, in the order of the run. */
export function labelsOf({ cells }: SetSummary): string[] {
  return [...new Set(cells.filter(({ budget }) => budget !== '').map(({ label }) => label))]
}

/** Budgets of a summary, as typed. */
export function budgetsOf({ cells }: SetSummary): string[] {
  return [...new Set(cells.filter(({ budget }) => budget !== '').map(({ budget }) => budget))]
}

/** Markdown: a row a variant, a column a budget; the result, and in brackets the share of all tokens' with its interval. */
export function resultTable(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): string {
  const budgets = budgetsOf(summary)
  const all = cellOf(summary, ALL_TOKENS, '')
  const head = ['method', ...budgets.map((budget) => `${budget} (${tokensText(summary, labels, budget)})`)]
  const rows = labels.map((label) => [
    label,
    ...budgets.map((budget) => {
      const cell = cellOf(summary, label, budget)
      return cell ? `${shown(summary, cell.result.value)} (${range(cell.keptShare, percent)})` : ''
    }),
  ])
  const whole = all ? [[ALL_TOKENS, ...budgets.map(() => `${shown(summary, all.result.value)} (100)`)]] : []
  return markdownTable(head, [...whole, ...rows])
}

/** Markdown: McNemar's exact test of each variant against the reference at the same budget. */
export function testTable(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): string {
  const budgets = budgetsOf(summary)
  const others = labels.filter((label) => label !== summary.reference)
  const rows = others.map((label) => [
    label,
    ...budgets.map((budget) => {
      const versus = cellOf(summary, label, budget)?.versus
      return versus ? `+${versus.first} / -${versus.second}, p ${pText(versus.p)}` : ''
    }),
  ])
  return markdownTable([`against ${summary.reference}`, ...budgets], rows)
}

/** Markdown, one table a budget: a row a task, a column a variant. Empty for sets of one task. */
export function taskTables(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): string {
  const all = cellOf(summary, ALL_TOKENS, '')
  if (!all || all.types.length === 0) return ''
  const tables = budgetsOf(summary).map((budget) => {
    const head = ['task', 'questions', ALL_TOKENS, ...labels]
    const rows = all.types.map(({ type, questions, value }) => [
      type,
      String(questions),
      shown(summary, value),
      ...labels.map((label) => {
        const found = cellOf(summary, label, budget)?.types.find((one) => one.type === type)
        return found ? shown(summary, found.value) : ''
      }),
    ])
    return `Budget ${budget}:\n\n${markdownTable(head, rows)}`
  })
  return tables.join('\n\n')
}

/** Markdown: median stage times, in milliseconds. */
export function timesTable(times: readonly TimeSummary[], labels?: readonly string[]): string {
  const isShown = ({ cell }: TimeSummary) => cell === ALL_TOKENS || !labels || labels.includes(labelOf(cell))
  const ms = (value: number) => value.toFixed(value < 10 ? 2 : 1)
  const rows = times
    .filter(isShown)
    .map((time) => [
      time.cell.replace('@', ' at '),
      ...[time.preprocessMs, time.encodeMs, time.selectMs, time.prefillMs, time.firstTokenMs].map(ms),
    ])
  return markdownTable(['', 'preprocess', 'encode', 'select', 'prefill', 'to first token'], rows)
}

/** A method that did better than the reference at a budget. */
export interface Loss {
  readonly label: string
  readonly budget: string
  /** Task; absent for the whole set. */
  readonly type?: string
  /** In the unit of the headline. */
  readonly difference: number
  /** McNemar's, for the whole set. */
  readonly p?: number
}

/** Where the reference is not the best, over the whole set: the better ones, largest difference first. */
export function lossesOf(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): Loss[] {
  return budgetsOf(summary).flatMap((budget) => {
    const own = cellOf(summary, summary.reference, budget)
    if (!own) return []
    return labels
      .flatMap((label) => {
        const cell = cellOf(summary, label, budget)
        const difference = cell ? cell.result.value - own.result.value : 0
        return cell && label !== summary.reference && difference > 0
          ? [{ label, budget, difference, ...(cell.versus && { p: cell.versus.p }) }]
          : []
      })
      .sort((a, b) => b.difference - a.difference)
  })
}

/** The same in each task: only the best other method of each. */
export function taskLossesOf(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): Loss[] {
  return budgetsOf(summary).flatMap((budget) => {
    const own = cellOf(summary, summary.reference, budget)
    return (own?.types ?? []).flatMap(({ type, value }) => {
      const others = labels
        .filter((label) => label !== summary.reference)
        .flatMap((label) => {
          const found = cellOf(summary, label, budget)?.types.find((one) => one.type === type)
          return found ? [{ label, budget, type, difference: found.value - value }] : []
        })
        .sort((a, b) => b.difference - a.difference)
      return others[0] && others[0].difference > 0 ? [others[0]] : []
    })
  })
}

/** Markdown: says plainly at which budgets and tasks the reference loses, and to whom. */
export function lossesInWords(summary: SetSummary, labels: readonly string[] = labelsOf(summary)): string {
  const losses = lossesOf(summary, labels)
  const tasks = taskLossesOf(summary, labels)
  const points = (difference: number) =>
    `${shown(summary, difference)} ${summary.scale === 'share' ? 'points' : ''}`.trim()
  const lines = budgetsOf(summary).map((budget) => {
    const better = losses.filter((loss) => loss.budget === budget)
    const names = (list: readonly Loss[]) =>
      list.map(
        ({ label, difference, p }) => `${label} (+${points(difference)}${p === undefined ? '' : `, p ${pText(p)}`})`,
      )
    const sure = better.filter(({ p = 1 }) => p < SIGNIFICANT)
    const unsure = better.filter(({ p = 1 }) => p >= SIGNIFICANT)
    const parts = [
      sure.length > 0 ? `**${summary.reference} loses** to ${names(sure).join(', ')}` : '',
      unsure.length > 0 ? `ahead of it, but within chance: ${names(unsure).join(', ')}` : '',
      better.length === 0 ? `no other method is ahead of ${summary.reference}` : '',
    ].filter((part) => part !== '')
    const behind = tasks.filter((loss) => loss.budget === budget)
    const byTask = behind.map(({ type, label, difference }) => `${type} (${label} +${points(difference)})`)
    const worst = behind.length > 0 ? ` By task, behind the best other method in: ${byTask.join(', ')}.` : ''
    return `- At ${budget}: ${parts.join('; ')}.${worst}`
  })
  return lines.join('\n')
}

/** Every number of runs: one row a run, set, rule, variant, budget and task. */
export function reportCsv(
  runs: readonly { readonly name: string; readonly summaries: readonly SetSummary[] }[],
): string {
  const head =
    'run,set,rule,method,budget,tokens,task,questions,metric,value,low95,high95,kept,kept_low95,kept_high95,p'
  const rows = runs.flatMap(({ name, summaries }) =>
    summaries.flatMap((summary) =>
      summary.cells.flatMap(({ label, budget, tokens, result, keptShare, types, versus }) => {
        const start = [name, summary.set, summary.rule, label, budget, tokens.toFixed(2)]
        const numbers = ({ value, low95, high95 }: Estimate) => [value, low95, high95].map((n) => n.toPrecision(6))
        const whole = ['', String(summary.questions), summary.headline, ...numbers(result), ...numbers(keptShare)]
        return [
          [...start, ...whole, versus ? versus.p.toPrecision(4) : ''],
          ...types.map((one) => [
            ...start,
            one.type,
            String(one.questions),
            summary.headline,
            ...numbers(one),
            '',
            '',
            '',
            '',
          ]),
        ]
      }),
    ),
  )
  return [head, ...rows.map((row) => row.map(csvCell).join(','))].map((line) => `${line}\n`).join('')
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

function cellOf({ cells }: SetSummary, label: string, budget: string): CellSummary | undefined {
  return cells.find((cell) => cell.label === label && cell.budget === budget)
}

/** Tokens of a budget; a range where methods keep different numbers. */
function tokensText(summary: SetSummary, labels: readonly string[], budget: string): string {
  const counts = labels.flatMap((label) => cellOf(summary, label, budget)?.tokens ?? [])
  const [least, most] = [Math.round(Math.min(...counts)), Math.round(Math.max(...counts))]
  return least === most ? `${least} tokens` : `${least} to ${most} tokens`
}

function shown({ scale }: SetSummary, value: number): string {
  return scale === 'share' ? (100 * value).toFixed(1) : value.toFixed(0)
}

function range({ value, low95, high95 }: Estimate, show: (value: number) => string): string {
  return `${show(value)}; ${show(low95)} to ${show(high95)}`
}

function percent(value: number): string {
  return (100 * value).toFixed(1)
}

function pText(p: number): string {
  return p < 0.001 ? '< .001' : p.toFixed(3).replace(/^0/, '')
}

function labelOf(cell: string): string {
  return cell.slice(0, cell.lastIndexOf('@'))
}

function csvCell(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
