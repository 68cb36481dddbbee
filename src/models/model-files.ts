import { stat, readFile } from 'node:fs/promises'
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
