import { createHash } from 'node:crypto'
import { appendFile, mkdir, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  ALL_TOKENS,
  answersBySet,
  dataSets,
  judgeCell,
  llavaAnswer,
  lmmsSample,
  medianTimes,
  type ImageRecord,
  type PlannedImage,
  type Rule,
  type SetAnswers,
  type SetSummary,
  type TimeSummary,
} from '../evaluation/index.js'
import { ModelError } from '../index.js'
import { hashOf, writeWhole } from './study-state.js'

/** Everything that a run's numbers depend on. Its hash names the run's folder. */
export interface RunConfig {
  readonly version: 1
  readonly model: {
    readonly name: string
    readonly files: Readonly<Record<string, string>>
    readonly objectLayer: number
    readonly deepLayer: number
  }
  readonly data: readonly { readonly set: string; readonly files: readonly { name: string; sha256: string }[] }[]
  readonly images: number
  readonly limit: number | null
  readonly methods: readonly string[]
  readonly keep: readonly string[]
  readonly seed: number
  readonly maxTokens: number
  readonly batch: number
  readonly timedImages: number
  readonly dtype: string
  readonly device: string
  readonly versions: Readonly<Record<string, string>>
}

/** Forms for other people's scorers. */
export const FORMS = ['llava', 'lmms-eval'] as const
export type Form = (typeof FORMS)[number]

/**
 * The folder of one run. Its journal `answers.jsonl` has a line for each picture that is done; a killed run leaves at most a
 * last line without an end, which is cut off, so that a resumed run ends as an uninterrupted one.
 */
export class RunFolder {
  private constructor(
    readonly folder: string,
    readonly records: ImageRecord[],
  ) {}

  /** @throws ModelError while another process works on the same run. */
  static async open(parent: string, config: RunConfig, images: readonly PlannedImage[]): Promise<RunFolder> {
    const folder = path.join(parent, `${safeName(config.model.name)}-${hashOf(config).slice(0, 12)}`)
    await mkdir(folder, { recursive: true })
    await lock(folder)
    await writeWhole(path.join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
    return new RunFolder(folder, await readJournal(path.join(folder, 'answers.jsonl'), images))
  }

  async add(record: ImageRecord): Promise<void> {
    await appendFile(this.file('answers.jsonl'), `${JSON.stringify(record)}\n`)
    this.records.push(record)
  }

  /** Writes metrics, predictions and the forms of other scorers from the journal. */
  async finish(
    config: RunConfig,
    images: readonly PlannedImage[],
    summaries: readonly SetSummary[],
    forms: readonly Form[],
  ): Promise<void> {
    await writeWhole(this.file('metrics.json'), `${JSON.stringify(summaries, null, 1)}\n`)
    const times: readonly TimeSummary[] = medianTimes(this.records)
    if (times.length > 0) await writeWhole(this.file('timings.json'), `${JSON.stringify(times, null, 1)}\n`)
    for (const set of answersBySet(images, this.records)) {
      const { rules, lmmsTask } = dataSets[set.set]
      await writeWhole(this.file('predictions', `${set.set}.jsonl`), lines(predictions(set, rules)))
      for (const cell of set.answers.keys()) {
        const rule = rules['lmms-eval'] ?? (Object.values(rules)[0] as Rule)
        const judged = judgeCell(rule, set, cell)
        if (!judged) continue
        const answer = (i: number) => set.answers.get(cell)?.[i] as string
        if (forms.includes('llava')) {
          const model = cell === ALL_TOKENS ? config.model.name : `${config.model.name} ${cell}`
          const rows = set.examples.map((example, i) =>
            llavaAnswer(example, answer(i), sha256(`${set.set} ${example.id} ${cell}`).slice(0, 22), model),
          )
          await writeWhole(this.file('llava', set.set, `${safeName(cell)}.jsonl`), lines(rows))
        }
        if (forms.includes('lmms-eval')) {
          const rows = judged.map((one, i) => lmmsSample(i, one, answer(i), rule, sha256))
          await writeWhole(this.file('lmms-eval', safeName(cell), `samples_${lmmsTask}.jsonl`), lines(rows))
        }
      }
      if (forms.includes('llava')) {
        const rows = set.examples.map(({ llavaId, imageKey, prompt, type }) => {
          return { question_id: llavaId, image: imageKey, text: prompt, category: type }
        })
        await writeWhole(this.file('llava', set.set, 'questions.jsonl'), lines(rows))
      }
    }
  }

  async close(): Promise<void> {
    await rm(this.file('lock'), { force: true })
  }

  file(...names: string[]): string {
    return path.join(this.folder, ...names)
  }
}

/** Every example with all answers and what each rule gives for them. */
function predictions(set: SetAnswers, rules: Readonly<Record<string, Rule>>): object[] {
  const cells = [...set.answers.keys()]
  const judged = Object.entries(rules).map(
    ([name, rule]) => [name, cells.map((cell) => judgeCell(rule, set, cell))] as const,
  )
  return set.examples.map(({ id, imageKey, type, question, answers }, i) => ({
    id,
    image: imageKey,
    type,
    question,
    answers,
    predictions: Object.fromEntries(cells.map((cell) => [cell, set.answers.get(cell)?.[i] ?? null])),
    scores: Object.fromEntries(
      judged.map(([name, all]) => [
        name,
        Object.fromEntries(cells.map((cell, c) => [cell, all[c]?.[i]?.score ?? null])),
      ]),
    ),
  }))
}

async function readJournal(file: string, images: readonly PlannedImage[]): Promise<ImageRecord[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const end = text.lastIndexOf('\n') + 1
  const records: ImageRecord[] = []
  let good = 0
  for (const line of text.slice(0, end).split('\n').slice(0, -1)) {
    const record = parsed(line)
    // Anything unexpected ends what can be trusted.
    if (record?.image !== images[records.length]?.key) break
    records.push(record as ImageRecord)
    good += Buffer.byteLength(line) + 1
  }
  if (text !== '' && good < Buffer.byteLength(text)) await truncate(file, good)
  return records
}

function parsed(line: string): ImageRecord | undefined {
  try {
    return JSON.parse(line) as ImageRecord
  } catch {
    return undefined
  }
}

/** A file with the process's number: two processes would write one journal twice. */
async function lock(folder: string): Promise<void> {
  const file = path.join(folder, 'lock')
  const handle = await open(file, 'wx').catch(() => undefined)
  if (handle) {
    await handle.writeFile(String(process.pid))
    await handle.close()
    return
  }
  const owner = Number(await readFile(file, 'utf8').catch(() => ''))
  if (owner > 0 && owner !== process.pid && isRunning(owner))
    throw new ModelError(`${folder}: process ${owner} works on this run; wait for it, or delete ${file}`)
  await writeFile(file, String(process.pid))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function lines(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** A file name that every system takes. */
export function safeName(text: string): string {
  return text.replace(/[^\w.+@=-]+/g, '_').slice(0, 120) || '_'
}
