import { env } from '@huggingface/transformers'
import { ModelError } from '../errors.js'

/** Where a model comes from, as in `from_pretrained`. */
export interface ModelSource {
  /** Hub id or folder. */
  readonly modelId: string
  /** Default 'main'. */
  readonly revision?: string | undefined
  readonly cache_dir?: string | null | undefined
  /** Default 'onnx'. */
  readonly subfolder?: string | undefined
  readonly local_files_only?: boolean | undefined
}

/** The bytes of a model file and, on disk, the folder where its external data lies. */
export interface ModelFile {
  readonly bytes: Uint8Array
  readonly folder?: string
}

/** File name suffix of each dtype, as Transformers.js names its exports. */
const DTYPE_SUFFIX: Readonly<Record<string, string>> = {
  fp32: '',
  q8: '_quantized',
}

export function modelFileName(session: string, dtype: string): string {
  return `${session}${DTYPE_SUFFIX[dtype] ?? `_${dtype}`}.onnx`
}

/**
 * Reads a file of a model that Transformers.js has just loaded, from where that library keeps it: the folder itself, its
 * file cache, the browser's cache, and only if it is in none of them the network.
 *
 * @throws ModelError that says where was looked, or why the download failed.
 */
export async function readModelFile(source: ModelSource, fileName: string): Promise<ModelFile> {
  const found = await findModelFile(source, fileName)
  if (found) return found
  const { modelId, revision = 'main' } = source
  const name = nameIn(source, fileName)
  const places = [
    ...(env.useFS ? diskCandidates(source, name) : []),
    ...(HUB_ID.test(modelId) ? [hubUrl(modelId, revision, name)] : []),
  ]
  throw new ModelError(`${name} of ${modelId} not found in ${places.join(', ')}`)
}

/**
 * The same for a file that a model may do without. A download is kept in the library's cache, so that the next load finds it.
 *
 * @returns undefined only when there is no such file: not on disk, and the hub says 404 or cannot be asked.
 * @throws ModelError when there is one and its download fails: half a file is never taken for none.
 */
export async function findModelFile(source: ModelSource, fileName: string): Promise<ModelFile | undefined> {
  const name = nameIn(source, fileName)
  if (env.useFS) {
    const { readFirstFile } = await import('./model-files.js')
    const found = await readFirstFile(diskCandidates(source, name))
    if (found) return found
  }
  if (!HUB_ID.test(source.modelId)) return undefined
  const url = hubUrl(source.modelId, source.revision ?? 'main', name)
  const cache = await webCache()
  const hit = await cache?.match(url)
  if (hit instanceof Response) return { bytes: new Uint8Array(await hit.arrayBuffer()) }
  if (source.local_files_only || !env.allowRemoteModels) return undefined
  const bytes = await download(url)
  if (!bytes) return undefined
  await cache?.put(url, new Response(bytes.slice())).catch(() => undefined)
  if (!env.useFS || !env.useFSCache) return { bytes }
  const { writeWhole } = await import('./model-files.js')
  const folder = await writeWhole(diskCandidates(source, name).at(-1) as string, bytes)
  return { bytes, ...(folder !== undefined && { folder }) }
}

/** The size of a file on the hub, from the answer to a request for its first byte; undefined when it cannot be asked. */
export async function hubFileSize(source: ModelSource, name: string): Promise<number | undefined> {
  const url = hubUrl(source.modelId, source.revision ?? 'main', name)
  const response = await (env.fetch(url, { headers: { Range: 'bytes=0-0' } }) as Promise<Response>).catch(
    () => undefined,
  )
  await response?.body?.cancel().catch(() => undefined)
  const total = /\/(\d+)$/.exec(response?.headers.get('content-range') ?? '')
  return response?.status === 206 && total ? Number(total[1]) : undefined
}

/** @returns undefined for 404 and for a hub that cannot be reached: a cached model loads without it. */
async function download(url: string): Promise<Uint8Array | undefined> {
  const response = await (env.fetch(url) as Promise<Response>).catch(() => undefined)
  if (!response || response.status === 404) return undefined
  if (!response.ok) throw new ModelError(`cannot download ${url}: HTTP ${response.status}`)
  const body = await response.arrayBuffer().catch((error: Error) => {
    throw new ModelError(`the download of ${url} broke off (${error.message}): load again`, { cause: error })
  })
  const announced = response.headers.get('content-encoding') ? null : response.headers.get('content-length')
  if (announced !== null && Number(announced) !== body.byteLength)
    throw new ModelError(`the download of ${url} has ${body.byteLength} bytes of ${announced}: load again`)
  return new Uint8Array(body)
}

function nameIn({ subfolder = 'onnx' }: ModelSource, fileName: string): string {
  return subfolder ? `${subfolder}/${fileName}` : fileName
}

/** `name` or `owner/name`; anything else can only be a folder. */
const HUB_ID = /^[\w.-]+(\/[\w.-]+)?$/

function hubUrl(modelId: string, revision: string, name: string): string {
  const place = env.remotePathTemplate
    .replaceAll('{model}', modelId)
    .replaceAll('{revision}', encodeURIComponent(revision))
  return [env.remoteHost, place, name].map((part) => part.replace(/\/$/, '')).join('/')
}

/** Folder, local models, file cache. */
function diskCandidates({ modelId, revision = 'main', cache_dir }: ModelSource, name: string): string[] {
  const cached = [cache_dir ?? env.cacheDir, modelId, ...(revision === 'main' ? [] : [revision]), name].join('/')
  return [`${modelId}/${name}`, `${env.localModelPath}/${modelId}/${name}`, cached]
}

interface WebCache {
  match(key: string): Promise<unknown>
  put(key: string, response: Response): Promise<void>
}

async function webCache(): Promise<WebCache | null> {
  if (env.useCustomCache) return env.customCache as unknown as WebCache | null
  return env.useBrowserCache && typeof caches !== 'undefined' ? await caches.open(env.cacheKey) : null
}
