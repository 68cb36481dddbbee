import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { dataSetName, dataSets, readDataSet, type DataFile, type PlacedSet } from '../evaluation/index.js'
import { ArgumentError } from '../index.js'
import { hashOf } from './study-state.js'

/** A data set with what identifies its files. */
export interface LoadedSet {
  readonly set: PlacedSet
  /** Name and SHA-256 of each file: what a run's numbers depend on, wherever the files lie. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
}

/**
 * Reads what `--data` names: `set=file,file` or `set=folder`.
 *
 * @param images `--images`: a folder for all sets, or `set=folder`. Default: each file's own folder.
 */
export async function loadSets(data: readonly string[], images: readonly string[] = []): Promise<LoadedSet[]> {
  const sets: LoadedSet[] = []
  for (const text of data) {
    const [name, value] = pairOf('--data', text)
    const set = dataSetName(name)
    if (sets.some((other) => other.set.name === set))
      throw new ArgumentError('--data', text, 'each set once; several files of one set with commas')
    const { isFolder } = dataSets[set]
    const { files, pictures, folder } = isFolder ? await readFolder(value) : await readFiles(value)
    const root = imagesOf(set, images) ?? folder
    await checkFolder(root)
    const read = readDataSet(set, files, pictures)
    const hashes = files.map((file) => ({ name: path.basename(file.name), sha256: hashOf(file.text) }))
    sets.push({ set: { ...read, root: path.resolve(root) }, files: hashes })
  }
  return sets
}

function pairOf(option: string, text: string): [name: string, value: string] {
  const at = text.indexOf('=')
  const known = Object.entries(dataSets).map(([name, { files }]) => `${name}=${files}`)
  if (at < 1 || at === text.length - 1) throw new ArgumentError(option, text, known.join(', '))
  return [text.slice(0, at), text.slice(at + 1)]
}

function imagesOf(set: string, images: readonly string[]): string | undefined {
  const own = images.find((text) => text.startsWith(`${set}=`))
  if (own) return own.slice(set.length + 1)
  return images.find((text) => !Object.keys(dataSets).some((name) => text.startsWith(`${name}=`)))
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory()) throw new ArgumentError('--images', folder, 'a folder that exists')
}

async function readFiles(value: string): Promise<{ files: DataFile[]; pictures: string[]; folder: string }> {
  const names = value.split(',')
  const files = await Promise.all(names.map(readText))
  return { files, pictures: [], folder: path.dirname(names[0] as string) }
}

async function readText(name: string): Promise<DataFile> {
  const text = await readFile(name, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ArgumentError('--data', name, `a file that can be read (${error.code})`)
  })
  return { name, text }
}

/** Texts and pictures below a folder, named by their path in it. */
async function readFolder(folder: string): Promise<{ files: DataFile[]; pictures: string[]; folder: string }> {
  const all = await readdir(folder, { recursive: true }).catch(() => {
    throw new ArgumentError('--data', folder, 'a folder that exists')
  })
  const names = all.map((name) => name.split(path.sep).join('/')).sort()
  const texts = names.filter((name) => name.endsWith('.txt'))
  const files = await Promise.all(texts.map(async (name) => ({ ...(await readText(path.join(folder, name))), name })))
  return { files, pictures: names.filter((name) => /\.(png|jpe?g)$/i.test(name)), folder }
}
