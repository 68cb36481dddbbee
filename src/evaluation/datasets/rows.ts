import { ArgumentError } from '../../errors.js'

/** A data set's file as read from disk. Nothing in it is trusted. */
export interface DataFile {
  /** As the user typed it; errors name it. */
  readonly name: string
  readonly text: string
}

/** Longer texts are no questions, and would fill the memory with tokens. */
const MAX_TEXT = 20_000

/** A JSON object of a data file, whose fields are checked as they are read. */
export class Row {
  constructor(
    private readonly file: string,
    private readonly place: () => string,
    private readonly value: unknown,
  ) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new ArgumentError(`${file}, ${place()}`, value, 'a JSON object')
  }

  /** A text of any content. @throws ArgumentError naming file, line and field. */
  text(name: string): string {
    const value = this.field(name)
    if (typeof value !== 'string' || value.length > MAX_TEXT)
      this.refuse(name, value, `a text of up to ${MAX_TEXT} characters`)
    return value as string
  }

  /** A text with words in it. */
  words(name: string): string {
    const value = this.text(name)
    if (value.trim() === '') this.refuse(name, value, 'a text that is not empty')
    return value
  }

  /** A number or a text, as identifiers are written; as text. */
  id(name: string): string {
    const value = this.field(name)
    if (Number.isSafeInteger(value)) return String(value)
    return this.words(name)
  }

  integer(name: string, least: number, most: number): number {
    const value = this.field(name)
    if (!Number.isInteger(value) || Number(value) < least || Number(value) > most)
      this.refuse(name, value, `an integer from ${least} to ${most}`)
    return Number(value)
  }

  texts(name: string, least = 1): string[] {
    const value = this.field(name)
    const isTexts = Array.isArray(value) && value.length >= least && value.every((item) => typeof item === 'string')
    if (!isTexts) this.refuse(name, value, `a list of at least ${least} texts`)
    return value as string[]
  }

  /** At least one object. */
  rows(name: string): Row[] {
    const value = this.field(name)
    if (!Array.isArray(value) || value.length === 0) this.refuse(name, value, 'a list of at least one object')
    return (value as unknown[]).map((item, i) => new Row(this.file, () => `${this.place()}, ${name} ${i + 1}`, item))
  }

  /** One of some words, whatever their case; in lower case. */
  oneOf(name: string, allowed: readonly string[]): string {
    const value = this.text(name).trim().toLowerCase()
    if (!allowed.includes(value)) this.refuse(name, value, allowed.join(', '))
    return value
  }

  /** A path below the images folder. */
  imagePath(name: string, suffix = ''): string {
    const value = `${this.words(name)}${suffix}`
    const parts = value.split(/[/\\]/)
    if (parts.includes('..') || /^([/\\]|[a-z]:|[a-z]+:\/\/)/i.test(value) || value.includes('\0'))
      this.refuse(name, value, 'a path below the images folder')
    return value
  }

  has(name: string): boolean {
    return this.field(name) != null
  }

  /** A nested object; undefined when there is none. */
  object(name: string): Row | undefined {
    return this.has(name) ? new Row(this.file, () => `${this.place()}, ${name}`, this.field(name)) : undefined
  }

  refuse(name: string, got: unknown, allowed: string): never {
    throw new ArgumentError(`${this.file}, ${this.place()}, "${name}"`, got, allowed)
  }

  private field(name: string): unknown {
    return Object.hasOwn(this.value as object, name) ? (this.value as Record<string, unknown>)[name] : undefined
  }
}

/** The objects of a file with one JSON object a line; empty lines do not count. */
export function jsonLines({ name, text }: DataFile): Row[] {
  const rows: Row[] = []
  withoutMark(text)
    .split('\n')
    .forEach((line, i) => {
      if (line.trim() === '') return
      const place = () => `line ${i + 1}`
      rows.push(new Row(name, place, parse(line, `${name}, ${place()}`, 'a JSON object')))
    })
  if (rows.length === 0) throw new ArgumentError(name, 'no rows', 'a file with one JSON object a line')
  return rows
}

/** The objects of a JSON list or of an object by key, at the root or under a name. */
export function jsonEntries({ name, text }: DataFile, container?: string): (readonly [key: string, row: Row])[] {
  const root = parsedDocument({ name, text })
  const value = container === undefined ? root : (root as Record<string, unknown> | null)?.[container]
  if (typeof value !== 'object' || value === null)
    throw new ArgumentError(container === undefined ? name : `${name}, "${container}"`, value, 'a list or an object')
  const entries = Object.entries(value)
  if (entries.length === 0) throw new ArgumentError(name, 'no entries', 'at least one')
  const isList = Array.isArray(value)
  return entries.map(([key, entry], i) => {
    const place = () => `line ${lineOfEntry(text, container, isList ? i : key)}, entry ${isList ? i + 1 : key}`
    return [key, new Row(name, place, entry)] as const
  })
}

/** @throws ArgumentError with the line where the file stops being JSON. */
export function parsedDocument({ name, text }: DataFile): unknown {
  try {
    return JSON.parse(withoutMark(text))
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1]
    const line = at === undefined ? text.split('\n').length : text.slice(0, Number(at)).split('\n').length
    throw new ArgumentError(`${name}, line ${line}`, (error as Error).message, 'a JSON document')
  }
}

function parse(text: string, place: string, allowed: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ArgumentError(place, text, allowed)
  }
}

function withoutMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text
}

/** Line on which an entry of a container starts, by its place in a list or its key in an object. For messages only. */
export function lineOfEntry(text: string, container: string | undefined, entry: number | string): number {
  const wanted = container === undefined ? 1 : 2
  let line = 1
  let depth = 0
  let count = 0
  let isInside = false
  let key = ''
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    if (c === '\n') line++
    if (isInside && depth === wanted && count === entry && !/[\s,]/.test(c)) return line
    if (c === '"') {
      const end = endOfString(text, i)
      const word = text.slice(i + 1, end)
      if (isInside && depth === wanted && word === entry) return line
      if (depth === 1) key = word
      i = end
    } else if (c === '[' || c === '{') {
      depth++
      if (depth === wanted && (container === undefined || key === container)) isInside = true
    } else if (c === ']' || c === '}') {
      if (depth === wanted) isInside = false
      depth--
    } else if (c === ',' && isInside && depth === wanted) count++
  }
  return line
}

function endOfString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i
}
