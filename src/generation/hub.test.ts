import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { env, type ProgressInfo } from '@huggingface/transformers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileURLToPath } from 'node:url'
import { startHub, type Fault } from '../../test/hub.js'
import { ask, loadPruned, type LoadPrunedOptions, type PrunedModel } from '../index.js'
import { RawImage } from '@huggingface/transformers'

/** Small, with a file that Transformers.js does not know (image_encoder.onnx); another folder has an optional newline. */
const model = fileURLToPath(new URL('../../test/fixtures/tiny-video-llava', import.meta.url))
const onevision = fileURLToPath(new URL('../../test/fixtures/tiny-onevision-anyres', import.meta.url))
const saved = { remoteHost: env.remoteHost }

let temporary: string
let cache_dir: string
let faults: Record<string, Fault | undefined>
let hub: Awaited<ReturnType<typeof startHub>>
const start = async (folder: string, pages = {}) => {
  hub = await startHub(folder, pages, faults)
  env.remoteHost = hub.url
}
const stop = async () => {
  hub.server.closeAllConnections()
  await new Promise((resolve) => hub.server.close(resolve))
}
beforeEach(async () => {
  temporary = await mkdtemp(path.join(os.tmpdir(), 'hiprune-hub-'))
  cache_dir = path.join(temporary, 'cache')
  faults = {}
})
afterEach(async () => {
  Object.assign(env, saved)
  if (hub.server.listening) await stop()
  await rm(temporary, { recursive: true, maxRetries: 5 })
})

const load = (options: LoadPrunedOptions = {}) => loadPruned('org/model', { cache_dir, dtype: 'fp32', ...options })
const failure = async (options: LoadPrunedOptions = {}) => {
  const error = (await load(options).catch((reason: Error) => reason)) as Error
  expect(error).toBeInstanceOf(Error)
  expect(error.message).not.toContain('\n')
  return error.message
}
const image = new RawImage(
  Uint8ClampedArray.from({ length: 42 * 42 * 3 }, (_, i) => (i * 7) % 256),
  42,
  42,
  3,
)
const works = async (loaded: PrunedModel) => {
  const { text, newTokens } = await ask(loaded, [image], 'What is it?', { max_new_tokens: 3 })
  expect(newTokens).toBeGreaterThan(0)
  await loaded.model.dispose()
  return text
}
const cached = (name = '') => path.join(cache_dir, 'org/model', name)
/** Every cached file is byte for byte that of the model. Other sessions' downloads may still go on, under other names. */
const cacheIsWhole = async (folder: string) => {
  const entries = await readdir(cached(), { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && !entry.name.includes('.tmp.'))
    .map(({ parentPath, name }) => path.relative(cached(), path.join(parentPath, name)))
  for (const file of files) expect(await readFile(cached(file))).toEqual(await readFile(path.join(folder, file)))
  return files
}

describe('a model from a hub, by the conventions of Transformers.js', () => {
  it('revision, device, dtype of each session, progress; then offline from the cache, further encoder included', async () => {
    const folder = path.join(temporary, 'model')
    await cp(model, folder, { recursive: true })
    await cp(path.join(model, 'onnx/embed_tokens.onnx'), path.join(folder, 'onnx/embed_tokens_fp16.onnx'))
    await start(temporary, { '/org/model/resolve/v1.0/': `${folder}/` })
    const dtype = { vision_encoder: 'fp32', embed_tokens: 'fp16', decoder_model_merged: 'fp32' } as const
    const options = { revision: 'v1.0', device: 'cpu', dtype } as const
    const seen: ProgressInfo[] = []
    const answer = await works(await load({ ...options, progress_callback: (info) => void seen.push(info) }))
    expect(seen.some((info) => info.status === 'progress_total' && info.progress > 99)).toBe(true)
    expect(hub.requests).toContain('/org/model/resolve/v1.0/onnx/embed_tokens_fp16.onnx')
    expect(hub.requests).not.toContain('/org/model/resolve/v1.0/onnx/embed_tokens.onnx')
    expect(await readFile(cached('v1.0/onnx/image_encoder.onnx'))).toEqual(await readFile(path.join(model, 'onnx/image_encoder.onnx'))) // prettier-ignore

    await stop()
    expect(await works(await load(options))).toBe(answer)
    const asked = hub.requests.length
    expect(await works(await load({ ...options, local_files_only: true }))).toBe(answer)
    expect(hub.requests).toHaveLength(asked)
    // The cache is that of one revision.
    expect(await failure()).toMatch(/^cannot load org\/model from .* at revision main: /)
  })

  it('the same from a folder, which nothing is written to', async () => {
    await start(model)
    const before = await readdir(model, { recursive: true })
    const answer = await works(await loadPruned(model, { dtype: 'fp32', device: 'cpu' }))
    expect(await readdir(model, { recursive: true })).toEqual(before)
    expect(hub.requests).toEqual([])
    expect(await works(await load())).toBe(answer)
  })
})

describe('a download that goes wrong', () => {
  it.each(['onnx/vision_encoder.onnx', 'onnx/image_encoder.onnx', 'tokenizer.json', 'preprocessor_config.json'])(
    '%s breaks off: one line, no half file in the cache, and the next load takes up where it was',
    async (name) => {
      faults[name] = 'cut'
      await start(model)
      expect(await failure()).toMatch(/broke off/)
      expect(await cacheIsWhole(model)).not.toContain(name)
      expect(await failure({ progress_callback: () => undefined })).toMatch(/broke off/)
      expect(await cacheIsWhole(model)).not.toContain(name)
      faults[name] = undefined
      const before = hub.requests.length
      await works(await load())
      expect(await cacheIsWhole(model)).toContain(name)
      expect(hub.requests.slice(before)).not.toContain('/org/model/resolve/main/config.json')
    },
  )

  it.each(['announced longer', 'announced shorter'] as const)('a length %s than the file', async (fault) => {
    faults['onnx/decoder_model_merged.onnx'] = fault
    await start(model)
    expect(await failure()).toMatch(/^cannot load org\/model from /)
    delete faults['onnx/decoder_model_merged.onnx']
    await works(await load())
    expect(await cacheIsWhole(model)).toContain('onnx/decoder_model_merged.onnx')
  })

  it('a needed file that is not there is named; so is a server that fails', async () => {
    faults['onnx/embed_tokens.onnx'] = 404
    await start(model)
    expect(await failure()).toMatch(/Could not locate file: "http.*onnx\/embed_tokens\.onnx"/)
    faults['onnx/embed_tokens.onnx'] = 500
    expect(await failure()).toMatch(/embed_tokens\.onnx/)
    delete faults['onnx/embed_tokens.onnx']
    faults['onnx/image_encoder.onnx'] = 503
    expect(await failure()).toMatch(/^cannot download http.*image_encoder\.onnx: HTTP 503$/)
  })

  it('an optional file that is not there is done without, one that breaks off is not', async () => {
    faults['image_encoder.onnx'] = 404
    await start(model)
    const withoutImages = await load()
    const video = { frames: [image, image] }
    expect((await ask(withoutImages, [video], 'What is it?', { max_new_tokens: 2 })).images).toHaveLength(2)
    await expect(ask(withoutImages, [image], 'What is it?')).rejects.toThrow(/has no image_encoder, which these images/)
    await withoutImages.model.dispose()
    await stop()

    faults['image_newline.f32.bin'] = 'cut'
    await rm(cache_dir, { recursive: true })
    await start(onevision)
    expect(await failure({ tiles: 'anyres' })).toMatch(/^the download of http.*image_newline\.f32\.bin broke off/)
    faults['image_newline.f32.bin'] = 404
    expect(await failure({ tiles: 'anyres' })).toMatch(/'single' for this folder, which has no image_newline/)
    delete faults['image_newline.f32.bin']
    await works(await load({ tiles: 'anyres' }))
    await stop()
    await works(await load({ tiles: 'anyres' }))
  })
})

describe('a cache with half a file', () => {
  const breakFile = async (name: string) => {
    const whole = await readFile(path.join(model, name))
    await mkdir(path.dirname(cached(name)), { recursive: true })
    await writeFile(cached(name), whole.subarray(0, Math.floor(whole.length / 2)))
  }

  it.each(['onnx/vision_encoder.onnx', 'onnx/image_encoder.onnx', 'tokenizer.json', 'config.json'])(
    '%s is found out, removed and fetched again',
    async (name) => {
      await start(model)
      await works(await load())
      await breakFile(name)
      await works(await load())
      expect(await cacheIsWhole(model)).toContain(name)
    },
  )

  it('offline: one line that says what to delete, and nothing is deleted', async () => {
    await start(model)
    await works(await load())
    await stop()
    await breakFile('onnx/vision_encoder.onnx')
    expect(await failure()).toMatch(
      /the hub could not be asked whether the cached files are whole: delete .*org\/model/,
    )
    expect((await readFile(cached('onnx/vision_encoder.onnx'))).length).toBeGreaterThan(0)
  })

  it('an unfinished download beside the files is not taken for one', async () => {
    await start(model)
    await mkdir(cached('onnx'), { recursive: true })
    await writeFile(cached('onnx/vision_encoder.onnx.tmp.123.abc'), 'half')
    await works(await load())
  })
})
