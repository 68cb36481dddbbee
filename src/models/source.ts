import { env } from '@huggingface/transformers'
import { HipruneError, ModelError } from '../errors.js'

/** A model's place, found once, so that every file comes from the same one and every failure is told the same way. */
export interface ResolvedSource {
  /** Absolute folder, or the hub id. */
  readonly id: string
  readonly isFolder: boolean
  /** Runs one `from_pretrained`; a failure becomes one line that says what was looked for and where. */
  load<T>(from: (id: string) => Promise<unknown>): Promise<T>
}

interface SourceOptions {
  readonly revision?: string
  readonly cache_dir?: string | null
  readonly local_files_only?: boolean
}

/** Decides whether `modelId` is a folder or a hub id. */
export async function describeSource(modelId: string, options: SourceOptions = {}): Promise<ResolvedSource> {
  const folder = env.useFS ? await (await import('./model-files.js')).localFolder(modelId) : undefined
  const id = folder ?? modelId
  const place = folder ? `the folder ${folder}` : placesOf(modelId, options)
  return {
    id,
    isFolder: folder !== undefined,
    async load<T>(from: (id: string) => Promise<unknown>): Promise<T> {
      try {
        return (await from(id)) as T
      } catch (error) {
        if (error instanceof HipruneError) throw error
        throw new ModelError(`cannot load ${modelId} from ${place}: ${firstLine(error)}`, { cause: error })
      }
    },
  }
}

function placesOf(modelId: string, { revision = 'main', cache_dir, local_files_only }: SourceOptions): string {
  const places = [`a folder ${modelId} (there is none)`, `the cache ${cache_dir ?? env.cacheDir ?? 'of the browser'}`]
  if (!local_files_only && env.allowRemoteModels) places.push(`the hub ${env.remoteHost} at revision ${revision}`)
  return places.join(', ')
}

/** The library's messages, which may run over several lines or hide their reason in `cause`, as one line. */
function firstLine(error: unknown): string {
  const { message, cause } = error as Error
  const missing = /Local file missing at "([^"]+)"/.exec(message)
  if (missing) return `there is no ${missing[1]}`
  // undici's word for a connection that ended before the file did.
  if (/^terminated$|ECONNRESET|socket hang up/i.test(message)) {
    const why = cause instanceof Error ? `: ${cause.message}` : ''
    return `a download broke off${why}; load again, files that are complete stay in the cache`
  }
  const reason = cause instanceof Error && !message.includes(cause.message) ? ` (${cause.message})` : ''
  return `${String(message ?? error).split('\n', 1)[0]}${reason}`
}
