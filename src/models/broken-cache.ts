import { env } from '@huggingface/transformers'
import { hubFileSize, type ModelSource } from './encoder-file.js'

/** What became of a model's cached files. */
export interface CacheCheck {
  /** Where they lie. */
  readonly folder: string
  /** Names of those that had another size than on the hub and were removed. */
  readonly removed: readonly string[]
  /** How many could not be compared, because the hub cannot be reached or does not know them. */
  readonly unknown: number
}

/**
 * Removes a hub model's cached files that are not whole. Transformers.js writes a download under another name and renames it
 * at its end, but it takes what a server cut short without saying so, and what another program left half-written, for whole,
 * and would never load it again. Meant for after a failure: it asks the hub for the size of every cached file.
 *
 * @returns undefined where there is no file cache.
 */
export async function dropBrokenFiles(source: ModelSource): Promise<CacheCheck | undefined> {
  const { modelId, revision = 'main', cache_dir } = source
  if (!env.useFS || !env.useFSCache) return undefined
  const { filesBelow, removeFile } = await import('./model-files.js')
  const folder = [cache_dir ?? env.cacheDir, modelId, ...(revision === 'main' ? [] : [revision])].join('/')
  const mayAsk = env.allowRemoteModels && !source.local_files_only
  const removed: string[] = []
  let unknown = 0
  for (const { name, file, size } of await filesBelow(folder)) {
    const whole = mayAsk ? await hubFileSize(source, name) : undefined
    if (whole === undefined) unknown++
    else if (whole !== size) {
      await removeFile(file)
      removed.push(name)
    }
  }
  return { folder, removed, unknown }
}
