import { cp, mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { env, type ProgressInfo } from '@huggingface/transformers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { oracleRoot } from '../../test/golden.js'
import { startHub } from '../../test/hub.js'
import { greedy, loadTiny, type AnyModel } from '../../test/tiny-llava.js'
import { ask, loadPruned, prunerNames, type SelectionEvent, type StageEvent } from '../index.js'

const tinyLlava = `${oracleRoot}models/tiny-llava`
let temporary: string
beforeEach(async () => (temporary = await mkdtemp(path.join(os.tmpdir(), 'hiprune-load-'))))
afterEach(() => rm(temporary, { recursive: true }))

describe('loadPruned from a folder', () => {
  it('equals the golden pruned run', async () => {
    const { inputs, sample } = await loadTiny('llava')
    const golden = sample.pruned.at(-1)!
    const { model } = await loadPruned(tinyLlava, {
      keep: golden.retention,
      alpha: golden.alpha,
      objectLayer: golden.object_layer,
      borders: 'clamp',
      dtype: 'fp32',
    })
    expect(await greedy(model as unknown as AnyModel, inputs)).toEqual(golden.greedy_tokens)
    await model.dispose()
  })

  it('every method can be chosen after loading and reaches the decoder with its K tokens', async () => {
    const { inputs } = await loadTiny('llava')
    const { model } = await loadPruned(tinyLlava, { keep: 21 })
    const selections = new Set<string>()
    for (const method of prunerNames) {
      let prefilled = 0
      const onStage = ({ stage, tokens }: StageEvent) => void (stage === 'prefill' && (prefilled = tokens))
      const onSelection = ({ images }: SelectionEvent) => void selections.add(String(images[0]!.selection.kept))
      await greedy(model as unknown as AnyModel, inputs, { pruning: { method, onStage, onSelection } })
      expect(prefilled).toBe(inputs.input_ids.dims[1]! - (method === 'none' ? 0 : 64 - 21))
    }
    expect(selections.size).toBe(prunerNames.length)
    await model.dispose()
  })

  it('hiprune++ keeps other tokens for another question, hiprune the same', async () => {
    const { image } = await loadTiny('llava')
    const loaded = await loadPruned(tinyLlava, { keep: 21, beta: 0.5 })
    const kept = async (method: 'hiprune' | 'hiprune++', question: string) => {
      const { images } = await ask(loaded, [image], question, { method, max_new_tokens: 1 })
      return [...images[0]!.selection.kept]
    }
    expect(await kept('hiprune', 'Is it a cat?')).toEqual(await kept('hiprune', 'How many red 8s?'))
    expect(await kept('hiprune++', 'Is it a cat?')).not.toEqual(await kept('hiprune++', 'How many red 8s?'))
    await loaded.model.dispose()
  })

  it('refuses an option before it loads anything', async () => {
    await expect(loadPruned('/no/such/folder', { keep: '200%' })).rejects.toThrow(/^budget: got "200%"/)
    await expect(loadPruned('/no/such/folder', { alpha: 7 })).rejects.toThrow(/^alpha: got 7/)
  })

  it('says in one line what is missing or broken', async () => {
    const broken = path.join(temporary, 'model')
    await cp(tinyLlava, broken, { recursive: true })
    await truncate(path.join(broken, 'onnx/vision_encoder.onnx'), 40_000)
    await expect(loadPruned(broken)).rejects.toThrow(/^cannot load [^\n]+$/)
    await rm(path.join(broken, 'onnx/vision_encoder.onnx'))
    await expect(loadPruned(broken)).rejects.toThrow(/there is no .*onnx\/vision_encoder\.onnx$/)
    await rm(path.join(broken, 'config.json'))
    await expect(loadPruned(broken)).rejects.toThrow(/there is no .*config\.json$/)
  })

  it('writes nothing beside the model', async () => {
    const copy = path.join(temporary, 'model')
    await cp(tinyLlava, copy, { recursive: true })
    const before = await readdir(copy, { recursive: true })
    await (await loadPruned(copy)).model.dispose()
    expect(await readdir(copy, { recursive: true })).toEqual(before)
  })
})

describe('loadPruned from a hub', () => {
  const saved = { remoteHost: env.remoteHost, cacheDir: env.cacheDir }
  afterEach(() => Object.assign(env, saved))

  it('downloads once with progress, taps the cached encoder, and works offline afterwards', async () => {
    const { url, requests, server } = await startHub(tinyLlava)
    env.remoteHost = url
    const cache_dir = path.join(temporary, 'cache')
    const seen: ProgressInfo[] = []
    const { inputs } = await loadTiny('llava')
    const online = await loadPruned('org/model', {
      keep: 21,
      cache_dir,
      progress_callback: (info) => void seen.push(info),
    })
    const answer = await greedy(online.model as unknown as AnyModel, inputs)
    expect(seen.some((info) => info.status === 'progress_total' && info.progress > 99)).toBe(true)
    const downloads = requests.filter((file) => file.endsWith('onnx/vision_encoder.onnx'))
    // One range request for the size, one download; the taps read the cached file.
    expect(downloads.length).toBeLessThanOrEqual(2)
    const cached = path.join(cache_dir, 'org/model/onnx/vision_encoder.onnx')
    expect(await readFile(cached)).toEqual(await readFile(`${tinyLlava}/onnx/vision_encoder.onnx`))

    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    const offline = await loadPruned('org/model', { keep: 21, cache_dir })
    expect(await greedy(offline.model as unknown as AnyModel, inputs)).toEqual(answer)
    await Promise.all([online.model.dispose(), offline.model.dispose()])
  })

  it('offline and missing: one line that says what was looked for and where', async () => {
    env.remoteHost = 'http://127.0.0.1:9/'
    const cache_dir = path.join(temporary, 'cache')
    await expect(loadPruned('org/other', { cache_dir })).rejects.toThrow(
      /^cannot load org\/other from a folder org\/other \(there is none\), the cache .*cache, the hub http:\/\/127\.0\.0\.1:9\/ at revision main: [^\n]+$/,
    )
  })
})
