import type { RawImage } from '@huggingface/transformers'
import type { SelectionEvent } from '../../generation/index.js'
import { ALL_TOKENS, readsQuestion, type Cell } from '../variants.js'
import type { Continuation, Prefix } from './decoder.js'
import type { Engine } from './engine.js'
import { askedPrompt, openPicture, prunePrompt, smallerPicture, type AskedPrompt, type Picture } from './picture.js'

/** A question as an example asks it. */
export interface ImageQuestion {
  /** What the model is asked, with a data set's suffix. */
  readonly prompt: string
  /** The words of the question alone, for methods that read it. */
  readonly question: string
}

/** Answers of all variants at all budgets to all questions about one image. */
export interface ImageAnswers {
  /** Visual tokens of the unpruned model. */
  readonly visualTokens: number
  /** By the cell's key, and {@link ALL_TOKENS}: one answer a question. */
  readonly answers: Readonly<Record<string, readonly string[]>>
  /** By the cell's key: visual tokens that the language model saw, mean over questions. */
  readonly kept: Readonly<Record<string, number>>
}

/** Called with each selection; once an image for methods that do not read the question. */
export type OnSelected = (cell: Cell | undefined, selection: SelectionEvent, questionIndex: number) => void

/** A prefix with the questions that go on from it. */
interface Job {
  readonly prefix: Prefix
  readonly waiting: Map<number, { readonly rest: AskedPrompt['rest']; readonly cells: string[] }>
}

/**
 * Answers every question about an image with all tokens and with every variant at every budget. The encoder runs once; each
 * selection is prefilled once, and equal selections of different variants are answered once.
 *
 * @param imageIndex Number of the image in the run; random methods draw anew for each.
 */
export async function answerImage(
  engine: Engine,
  image: RawImage,
  imageIndex: number,
  questions: readonly ImageQuestion[],
  cells: readonly Cell[],
  onSelected?: OnSelected,
): Promise<ImageAnswers> {
  const [first] = questions as [ImageQuestion]
  const picture = await openPicture(engine, image, first.prompt)
  const prompts = await promptsOf(engine, picture, questions)
  const jobs = new Map<string, Job>()
  const kept: Record<string, number> = {}
  for (const cell of [undefined, ...cells]) {
    const key = cell?.key ?? ALL_TOKENS
    const counts = await addJobs(engine, picture, prompts, cell, imageIndex, jobs, onSelected)
    kept[key] = counts.reduce((sum, count) => sum + count, 0) / counts.length
  }
  const answers = await answerJobs(engine, [...jobs.values()])
  return { visualTokens: picture.visualTokens, answers, kept }
}

async function promptsOf(engine: Engine, picture: Picture, questions: readonly ImageQuestion[]) {
  const prompts: AskedPrompt[] = []
  for (const { prompt, question } of questions) prompts.push(await askedPrompt(engine, picture, prompt, question))
  return prompts
}

/** Selects for each question, or once where the method does not read it and prompts begin alike. @returns Tokens kept. */
async function addJobs(
  engine: Engine,
  picture: Picture,
  prompts: readonly AskedPrompt[],
  cell: Cell | undefined,
  imageIndex: number,
  jobs: Map<string, Job>,
  onSelected?: OnSelected,
): Promise<number[]> {
  const { own, smaller } = await strategyOf(engine, picture, prompts, cell)
  const seen = smaller ?? picture
  const shared = new Map<string, { key: string; count: number }>()
  const counts: number[] = []
  for (const [i, prompt] of prompts.entries()) {
    const asked = smaller ? await askedPrompt(engine, smaller, prompt.prompt, prompt.question) : prompt
    const head = own && readsQuestion(own.variant) ? `${i}` : asked.head
    let found = shared.get(head)
    if (!found) {
      const pruned = await prunePrompt(engine, seen, asked, own, imageIndex)
      const key = smaller ? `${cell?.key}|${pruned.key}` : pruned.key
      if (!jobs.has(key)) jobs.set(key, { prefix: pruned.prefix, waiting: new Map() })
      const count = pruned.selection.images.reduce((sum, { selection }) => sum + selection.kept.length, 0)
      found = { key, count }
      shared.set(head, found)
      onSelected?.(cell, pruned.selection, i)
    }
    const { waiting } = jobs.get(found.key) as Job
    const cells = waiting.get(i)?.cells ?? []
    waiting.set(i, { rest: asked.rest, cells: [...cells, cell?.key ?? ALL_TOKENS] })
    counts.push(found.count)
  }
  return counts
}

/** 'downscale' is all tokens of a smaller picture or, where the encoder's resolution is fixed, pooling. */
export async function strategyOf(
  engine: Engine,
  picture: Picture,
  [first]: readonly AskedPrompt[],
  cell: Cell | undefined,
): Promise<{ own: Cell | undefined; smaller?: Picture | undefined }> {
  if (cell?.variant.method !== 'downscale') return { own: cell }
  const smaller = await smallerPicture(engine, picture, cell, (first as AskedPrompt).prompt)
  if (smaller) return { own: undefined, smaller }
  return { own: { ...cell, variant: { ...cell.variant, method: 'pool' } } }
}

/** Prefills prefixes of equal length together and answers questions of equal length together. */
async function answerJobs({ decoder, tokenizer }: Engine, jobs: readonly Job[]): Promise<Record<string, string[]>> {
  const answers: Record<string, string[]> = {}
  const lengths = jobs.flatMap(({ waiting }) => [...waiting.values()].map(({ rest }) => rest.ids.length))
  const longest = Math.max(...lengths)
  for (const group of groupBy(jobs, ({ prefix }) => prefix.length).values()) {
    const rowsAtOnce = decoder.rowsOf((group[0] as Job).prefix.length + longest)
    for (const chunk of chunksOf(group, rowsAtOnce)) {
      const cache = await decoder.prefill(chunk.map(({ prefix }) => prefix))
      const rows = chunk.flatMap(({ waiting }, prefix) =>
        [...waiting].map(([question, { rest, cells }]) => {
          return { question, cells, row: { ...rest, prefix } satisfies Continuation }
        }),
      )
      for (const equal of groupBy(rows, ({ row }) => row.ids.length).values()) {
        for (const batch of chunksOf(equal, rowsAtOnce)) {
          const ids = await decoder.answer(
            cache,
            batch.map(({ row }) => row),
          )
          batch.forEach(({ question, cells }, i) => {
            const text = tokenizer.decode(ids[i] as bigint[], { skip_special_tokens: true }).trim()
            for (const cell of cells) (answers[cell] ??= [])[question] = text
          })
        }
      }
      await cache.dispose()
    }
  }
  return answers
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
