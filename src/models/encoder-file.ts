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
 * @throws ModelError that says where was looked.
 */
export async function readModelFile(source: ModelSource, fileName: string): Promise<ModelFile> {
  const { modelId, revision = 'main', subfolder = 'onnx' } = source
  const name = subfolder ? `${subfolder}/${fileName}` : fileName
  const onDisk = env.useFS ? diskCandidates(source, name) : []
  if (onDisk.length > 0) {
    const { readFirstFile } = await import('./model-files.js')
    const found = await readFirstFile(onDisk)
    if (found) return found
  }
  const places = [...onDisk]
  if (HUB_ID.test(modelId)) {
    const url = hubUrl(modelId, revision, name)
    const response = await fetchCached(url).catch(() => undefined)
    if (response?.ok) return { bytes: new Uint8Array(await response.arrayBuffer()) }
    places.push(url)
  }
  throw new ModelError(`${name} of ${modelId} not found in ${places.join(', ')}`)
}

/** `name` or `owner/name`; anything else can only be a folder. */
const HUB_ID = /^[\w.-]+(\/[\w.-]+)?$/

function hubUrl(modelId: string, revision: string, name: string): string {
  const place = env.remotePathTemplate
    .replaceAll('{model}', modelId)
    .replaceAll('{revision}', encodeURIComponent(revision))
  return [env.remoteHost, place, name].map((part) => part.replace(/\/$/, '')).join('/')
}

function diskCandidates({ modelId, revision = 'main', cache_dir }: ModelSource, name: string): string[] {
  const cached = [cache_dir ?? env.cacheDir, modelId, ...(revision === 'main' ? [] : [revision]), name].join('/')
  return [`${modelId}/${name}`, `${env.localModelPath}/${modelId}/${name}`, cached]
}

async function fetchCached(url: string): Promise<Response | undefined> {
  const cache = env.useCustomCache
    ? (env.customCache as { match(key: string): Promise<unknown> } | null)
    : env.useBrowserCache && typeof caches !== 'undefined'
      ? await caches.open(env.cacheKey)
      : null
  const hit = await cache?.match(url)
  if (hit instanceof Response) return hit
  return env.allowRemoteModels ? ((await env.fetch(url)) as Response) : undefined
}
