import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** Writes a file in one piece: a reader sees the old one or the new one, never a part. Folders are made. */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  const part = `${file}.${process.pid}.part`
  await writeFile(part, content)
  await rename(part, file)
}

/** What a stopped study left behind. */
export interface SavedState<Totals> {
  /** Hash of everything that the numbers depend on except the images. */
  readonly settings: string
  /** Hash of the names and sizes of the images that were measured. */
  readonly images: string
  readonly totals: Totals
}

/** The state in a file, when it belongs to these settings and its images are the first ones of the list. */
export async function readState<Totals extends { images: number }>(
  file: string,
  settings: unknown,
  images: readonly string[],
): Promise<Totals | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const saved = JSON.parse(text) as SavedState<Totals>
    const done = images.slice(0, saved.totals.images)
    const isOurs = saved.settings === hashOf(settings) && done.length === saved.totals.images
    return isOurs && saved.images === (await hashOfFiles(done)) ? saved.totals : undefined
  } catch {
    return undefined
  }
}

export async function writeState<Totals extends { images: number }>(
  file: string,
  settings: unknown,
  images: readonly string[],
  totals: Totals,
): Promise<void> {
  const done = await hashOfFiles(images.slice(0, totals.images))
  await writeWhole(file, JSON.stringify({ settings: hashOf(settings), images: done, totals }))
}

export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

async function hashOfFiles(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) hash.update(`${path.basename(file)}:${await sizeOf(file)}\n`)
  return hash.digest('hex')
}

const sizes = new Map<string, number>()

/** Asked once a file: the state is written every few seconds, and a study may have very many. */
async function sizeOf(file: string): Promise<number> {
  const size = sizes.get(file) ?? (await stat(file)).size
  sizes.set(file, size)
  return size
}
