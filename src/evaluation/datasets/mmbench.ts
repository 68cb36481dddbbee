import { ArgumentError } from '../../errors.js'
import { choiceLines, LETTER_ANSWER, LETTERS, type Example } from './example.js'
import type { DataFile } from './rows.js'

/** Rotations of question i have index i + 1e6, i + 2e6, ... */
const ROTATION = 1e6
const NEEDED = ['index', 'question', 'A', 'B', 'answer', 'image'] as const

/**
 * MMBench (dev): a TSV with columns index, question, hint, A to D, answer, category, image (base64, or the index of the row
 * whose picture it shares).
 */
export function readMmBench(files: readonly DataFile[]): Example[] {
  return files.flatMap((file) => {
    const [head, ...lines] = tsvRows(file)
    const columns = new Map((head?.cells ?? []).map((name, i) => [name, i]))
    const missing = NEEDED.find((name) => !columns.has(name))
    if (missing)
      throw new ArgumentError(`${file.name}, line 1`, head?.cells.join(' ') ?? '', `columns ${NEEDED.join(', ')}`)
    const rows = lines.map(({ line, cells }) => {
      if (cells.length !== columns.size)
        throw new ArgumentError(
          `${file.name}, line ${line}`,
          `${cells.length} columns`,
          `${columns.size}, as in line 1`,
        )
      return { line, cell: (name: string) => (cells[columns.get(name) ?? -1] ?? '').trim() }
    })
    const pictures = new Map(rows.map(({ cell }) => [cell('index'), cell('image')]))
    return rows.map(({ line, cell }) => exampleOf(`${file.name}, line ${line}`, cell, pictures))
  })
}

function exampleOf(place: string, cell: (name: string) => string, pictures: ReadonlyMap<string, string>): Example {
  const index = Number(cell('index'))
  if (!/^\d+$/.test(cell('index'))) throw new ArgumentError(`${place}, "index"`, cell('index'), 'a number')
  const choices: string[] = []
  for (const letter of LETTERS.slice(0, 4)) {
    if (isNone(cell(letter))) break
    choices.push(cell(letter))
  }
  const answer = cell('answer')
  if (!LETTERS.slice(0, choices.length).includes(answer as 'A'))
    throw new ArgumentError(
      `${place}, "answer"`,
      answer,
      LETTERS.slice(0, choices.length).join(', ') || 'choices A and B',
    )
  const [question, hint, base] = [cell('question'), cell('hint'), index % ROTATION]
  if (question === '') throw new ArgumentError(`${place}, "question"`, question, 'a text that is not empty')
  const withHint = isNone(hint) ? question : `${hint}\n${question}`
  return {
    id: String(index),
    imageKey: `mmbench/${base}`,
    image: { base64: pictureOf(place, cell('image'), pictures) },
    question,
    prompt: `${withHint}\n${choiceLines(choices)}${LETTER_ANSWER}`,
    type: cell('category') || 'mmbench',
    answers: [answer],
    group: String(base),
    choices,
    llavaId: index,
    doc: { index, question, hint, ...Object.fromEntries(choices.map((choice, i) => [LETTERS[i], choice])), answer },
  }
}

/** Base64 of a picture; a short number is the index of the row that has it. */
function pictureOf(place: string, cell: string, pictures: ReadonlyMap<string, string>): string {
  const picture = /^\d{1,9}$/.test(cell) ? (pictures.get(cell) ?? '') : cell
  if (picture.length > 40 && /^[A-Za-z0-9+/\s]+=*$/.test(picture)) return picture
  throw new ArgumentError(`${place}, "image"`, cell, 'a picture in base64, or the index of a row with one')
}

function isNone(text: string): boolean {
  return text === '' || text.toLowerCase() === 'nan' || text.toLowerCase() === 'none'
}

/** Tab separated cells; quoted ones may hold tabs, line breaks, and quotes written twice. */
function tsvRows({ name, text }: DataFile): { line: number; cells: string[] }[] {
  const rows: { line: number; cells: string[] }[] = []
  let [line, at] = [1, text.startsWith('\ufeff') ? 1 : 0]
  while (at < text.length) {
    const row = { line, cells: [] as string[] }
    for (let isOpen = true; isOpen;) {
      if (text[at] === '"') {
        const end = endOfQuotes(text, at)
        if (end < 0) throw new ArgumentError(`${name}, line ${row.line}`, 'a quote', 'one that is closed')
        const cell = text.slice(at + 1, end)
        line += cell.split('\n').length - 1
        row.cells.push(cell.replaceAll('""', '"'))
        at = end + 1
      } else {
        const end = nextOf(text, at)
        row.cells.push(text.slice(at, end).replace(/\r$/, ''))
        at = end
      }
      if (text[at] === '\r') at++
      isOpen = text[at] === '\t'
      at++
    }
    line++
    if (row.cells.length > 1 || row.cells[0] !== '') rows.push(row)
  }
  return rows
}

function endOfQuotes(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2)
  return end
}

/** The next tab or line break. */
function nextOf(text: string, start: number): number {
  const ends = [text.indexOf('\t', start), text.indexOf('\n', start)].filter((end) => end >= 0)
  return ends.length > 0 ? Math.min(...ends) : text.length
}
