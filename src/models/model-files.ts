import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** Absolute path of `modelId` when it is a folder on disk. */
export async function localFolder(modelId: string): Promise<string | undefined> {
  const found = await stat(modelId).catch(() => undefined)
  return found?.isDirectory() ? path.resolve(modelId) : undefined
}

/** The first of `files` that exists. */
export async function readFirstFile(
  files: readonly string[],
): Promise<{ bytes: Uint8Array; folder: string } | undefined> {
  for (const file of files) {
    const bytes = await readFile(file).catch(() => undefined)
    if (bytes) return { bytes, folder: path.dirname(path.resolve(file)) }
  }
  return undefined
}

/**
 * Writes a file under another name first, so that nobody ever reads half of it.
 *
 * @returns Its folder; undefined where the cache cannot be written, which is no reason not to use the bytes.
 */
export async function writeWhole(file: string, bytes: Uint8Array): Promise<string | undefined> {
  const folder = path.dirname(path.resolve(file))
  const unfinished = `${file}.tmp.${process.pid}.${Math.random().toString(36).slice(2)}`
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(unfinished, bytes)
    await rename(unfinished, file)
    return folder
  } catch {
    await rm(unfinished, { force: true }).catch(() => undefined)
    return undefined
  }
}

/** Every file below a folder with its size in bytes, unfinished downloads left out; none when there is no such folder. */
export async function filesBelow(folder: string): Promise<{ name: string; file: string; size: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile() && !/\.tmp\.\d/.test(entry.name))
  return await Promise.all(
    files.map(async ({ parentPath, name }) => {
      const file = path.join(parentPath, name)
      return { name: path.relative(folder, file).replaceAll(path.sep, '/'), file, size: (await stat(file)).size }
    }),
  )
}

export async function removeFile(file: string): Promise<void> {
  await rm(file, { force: true })
}
