import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import {
  ALL_TOKENS,
  dataSets,
  evaluatedMethods,
  labelsOf,
  lossesInWords,
  markdownTable,
  mcnemar,
  reportCsv,
  resultTable,
  taskTables,
  testTable,
  timesTable,
  type SetSummary,
  type TimeSummary,
} from '../evaluation/index.js'
import { ArgumentError } from '../index.js'
import { safeName, type RunConfig } from './eval-folder.js'
import { print, printJson } from './output.js'
import { writeWhole } from './study-state.js'

/** A finished run as its folder holds it. */
export interface FinishedRun {
  readonly folder: string
  readonly name: string
  readonly config: RunConfig
  readonly summaries: readonly SetSummary[]
  readonly times: readonly TimeSummary[]
  readonly machine: Readonly<Record<string, unknown>>
}

interface ReportOptions {
  out: string
  compare?: string
  json?: boolean
}

export function evalReportCommand(): Command {
  return new Command('report')
    .description('Write tables, CSV and figures of finished runs')
    .argument('<runs...>', 'folders that hiprune eval wrote')
    .option('--compare <a,b>', "McNemar's test between two cells, e.g. hiprune@1/3,random@1/3")
    .option('-o, --out <folder>', 'where the report goes', 'report')
    .option('--json', 'print what was written as JSON')
    .addHelpText('after', '\nExample:\n  hiprune eval report runs/* -o report --compare hiprune@1/3,random@1/3')
    .action(runReport)
}

async function runReport(folders: string[], options: ReportOptions, command: Command): Promise<void> {
  const { out, compare, json } = { ...options, ...givenTo(command.parent) }
  const runs = await Promise.all(folders.map(readRun))
  const tests = compare === undefined ? [] : await Promise.all(runs.map((run) => compareCells(run, compare)))
  const sections: string[] = []
  const written: string[] = []
  for (const [i, run] of runs.entries()) {
    const figures = await writeFigures(out, run)
    written.push(...figures.map(({ file }) => file))
    sections.push(runSection(run, figures, tests[i]))
  }
  await writeWhole(path.join(out, 'report.md'), `# Accuracy kept after pruning\n\n${sections.join('\n\n')}\n`)
  await writeWhole(path.join(out, 'results.csv'), reportCsv(runs))
  written.push(path.join(out, 'report.md'), path.join(out, 'results.csv'))
  if (json) printJson({ written, ...(compare !== undefined && { compare: tests }) })
  else print([...tests.filter((test) => test !== undefined), ...written].join('\n'))
}

/** The parser hands options that `eval` has, too, to `eval`, although they stand behind `report`. */
function givenTo(parent: Command | null): Partial<ReportOptions> {
  const own = Object.entries(parent?.opts() ?? {})
  return Object.fromEntries(own.filter(([name]) => parent?.getOptionValueSource(name) === 'cli'))
}

/** @throws ArgumentError for a folder that holds no finished run. */
export async function readRun(folder: string): Promise<FinishedRun> {
  const read = async (name: string) => JSON.parse(await readFile(path.join(folder, name), 'utf8')) as unknown
  try {
    const [config, summaries, machine] = await Promise.all(['config.json', 'metrics.json', 'machine.json'].map(read))
    const times = await read('timings.json').catch(() => [])
    const name = path.basename(path.resolve(folder))
    return { folder, name, config, summaries, machine, times } as FinishedRun
  } catch {
    throw new ArgumentError('runs', folder, 'the folder of a run that hiprune eval has finished')
  }
}

/** A figure with the words above it. */
export interface WrittenFigure {
  readonly title: string
  readonly file: string
}

/** Draws a run's figures as SVG files: methods with their defaults together, variants of one method together. */
export async function writeFigures(out: string, { summaries, times, name }: FinishedRun): Promise<WrittenFigure[]> {
  // Drawing brings libraries that no other command needs to load.
  const { keptFigure, paretoFigure, standalone, tasksFigure } = await import('../plots/index.js')
  const figures: WrittenFigure[] = []
  const write = async (id: string, title: string, svg: string) => {
    const file = path.join(out, `${safeName(`${name}-${id}`)}.svg`)
    await writeWhole(file, standalone(svg))
    figures.push({ title, file })
  }
  for (const summary of summaries.filter(isShown)) {
    const { set, headline, title, cells } = summary
    for (const [group, labels] of figureGroups(labelsOf(summary))) {
      await write(`${set}-${group}-kept`, `${title}: ${headline} kept, ${group}`, keptFigure(summary, labels))
      if (times.length > 0)
        await write(
          `${set}-${group}-pareto`,
          `${title}: ${headline} against time, ${group}`,
          paretoFigure(summary, times, labels),
        )
    }
    const [methods] = figureGroups(labelsOf(summary)).values()
    if (methods && (cells[0]?.types.length ?? 0) > 0)
      await write(`${set}-tasks`, `${title}: ${headline} by task`, tasksFigure(summary, methods))
  }
  return figures
}

/** The methods with their defaults, and for each method that has them its variants. */
export function figureGroups(labels: readonly string[]): Map<string, string[]> {
  const names: readonly string[] = evaluatedMethods
  const groups = new Map<string, string[]>()
  const plain = labels.filter((label) => names.includes(label))
  if (plain.length > 0) groups.set('methods', plain)
  for (const label of labels.filter((label) => !names.includes(label))) {
    const [method = ''] = label.split(' ')
    const group = names.includes(method) ? method : 'others'
    const own = groups.get(group) ?? (plain.includes(method) ? [method] : [])
    groups.set(group, [...own, label])
  }
  return groups
}

/** Of a set's rules the one that tables show. */
export function isShown({ set, rule }: SetSummary): boolean {
  return Object.keys(dataSets[set].rules)[0] === rule
}

/** What a run's numbers come from, in one paragraph. */
export function runFacts({ config, machine }: FinishedRun): string {
  const { model, data, images, limit, seed, versions } = config
  const files = Object.entries(model.files).map(([file, sha256]) => `${file} ${sha256.slice(0, 12)}`)
  const sets = data.map(({ set, files }) => `${set} (${files.map(({ name }) => name).join(', ')})`)
  const of = limit === null ? '' : `, at most ${limit} of each set`
  return [
    `Model ${model.name} (SHA-256 ${files.join(', ')}), object layer ${model.objectLayer}, deep layer ${model.deepLayer}.`,
    `Data: ${sets.join(', ')}; ${images} images${of}. Seed ${seed}, greedy decoding, at most ${config.maxTokens} tokens.`,
    `Made with ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(
        ', ',
      )} on Node ${String(machine['node'])}, ${String(machine['platform'])}, ${String(machine['cpu'])}, ${String(machine['memoryGiB'])} GiB.`,
  ].join(' ')
}

function runSection(run: FinishedRun, figures: readonly WrittenFigure[], test: string | undefined): string {
  const sets = run.summaries.map((summary) => {
    const { title, rule, description, images, questions, headline } = summary
    const head = `### ${title}, rule ${rule}\n\n${description}. ${questions} questions about ${images} images; ${headline}, in brackets the share of that with all tokens in %, with 95 % bootstrap intervals over images.`
    if (!isShown(summary)) return `${head}\n\n${resultTable(summary)}`
    return [
      head,
      resultTable(summary),
      `Where ${summary.reference} loses:\n\n${lossesInWords(summary)}`,
      `McNemar's exact test: questions that only this method (+) and only ${summary.reference} (-) got right.\n\n${testTable(summary)}`,
      taskTables(summary),
    ]
      .filter((part) => part !== '')
      .join('\n\n')
  })
  const times =
    run.times.length > 0
      ? `### Time to the first token\n\nMedian milliseconds of ${run.times[0]?.images ?? 0} images, one question each.\n\n${timesTable(run.times)}`
      : ''
  const pictures = figures.map(({ title, file }) => `![${title}](${path.basename(file)})`).join('\n\n')
  return [`## ${run.name}`, runFacts(run), test ?? '', ...sets, times, pictures]
    .filter((part) => part !== '')
    .join('\n\n')
}

interface PredictionRow {
  readonly scores: Readonly<Record<string, Readonly<Record<string, number | null>>>>
}

/** McNemar's test of two cells on every set, as a table. */
async function compareCells({ folder, summaries }: FinishedRun, compare: string): Promise<string> {
  const [a = '', b = '', ...more] = compare.split(',').map((cell) => cell.trim())
  const known = [ALL_TOKENS, ...new Set(summaries.flatMap(({ cells }) => cells.map(({ cell }) => cell)))]
  const wrong = [a, b].find((cell) => !known.includes(cell))
  if (wrong !== undefined || more.length > 0)
    throw new ArgumentError('--compare', compare, `two of ${known.join(', ')}`)
  const rows = await Promise.all(
    summaries.filter(isShown).map(async ({ set, title, rule }) => {
      const text = await readFile(path.join(folder, 'predictions', `${set}.jsonl`), 'utf8')
      const all = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as PredictionRow)
      const scores = (cell: string) => all.map((row) => row.scores[rule]?.[cell] ?? 0)
      const { first, second, p } = mcnemar(scores(a), scores(b))
      return [title, String(first), String(second), p.toPrecision(3)]
    }),
  )
  return markdownTable([`McNemar`, `only ${a}`, `only ${b}`, 'p'], rows)
}
