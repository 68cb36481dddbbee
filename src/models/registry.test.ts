import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Tensor } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { families } from '../../test/families.js'
import { loadPruned, withPruning } from '../index.js'
import { tilesByMarks } from './lfm2-vl.js'
import { adapterFor } from './registry.js'
import type { ModelConfig } from './transformers.js'

const config = (model_type: string, others: object = {}) => ({ model_type, ...others }) as ModelConfig

describe('what cannot be pruned is refused by name, with the reason', () => {
  it.each([
    ['gemma3n', /"gemma3n" cannot be pruned: its MobileNet encoder has no self-attention over patches/],
    ['florence2', /"florence2" cannot be pruned: its DaViT encoder attends over windows and channels/],
    ['fast_vlm', /"fast_vlm" cannot be pruned: its FastViT encoder has stages that are not on the token grid/],
    ['phi3_v', /"phi3_v" cannot be pruned: its images are merged inside prepare_inputs_embeds/],
    ['multi_modality', /"multi_modality" cannot be pruned: its images are merged inside prepare_inputs_embeds/],
    ['gemma4', /"gemma4" cannot be pruned: it has no adapter yet/],
    ['mistral3', /"mistral3" cannot be pruned: it has no adapter \(supported: llava, /],
  ])('%s', (modelType, message) => {
    expect(() => adapterFor(config(modelType))).toThrow(message)
    expect(() => withPruning({ config: { model_type: modelType }, sessions: {} })).toThrow(message)
  })

  it('FastVLM, which goes by the name of nanoLLaVA', () => {
    const fastVlm = config('llava_qwen2', { mm_vision_tower: 'mobileclip_l_1024' })
    expect(() => adapterFor(fastVlm)).toThrow(
      /"llava_qwen2" cannot be pruned: its encoder mobileclip_l_1024 is FastViT \(FastVLM\)/,
    )
    expect(adapterFor(config('llava_qwen2', { mm_vision_tower: 'google/siglip-so400m-patch14-384' })).family).toBe(
      'llava_qwen2',
    )
  })

  it('Qwen3-VL whose decoder takes DeepStack features', () => {
    const session = (...inputNames: string[]) => ({ inputNames }) as never
    const decoder = (name: string) => ({ decoder_model_merged: session('inputs_embeds', name) })
    expect(() => adapterFor(config('qwen3_vl'), decoder('deepstack_visual_embeds_0'))).toThrow(
      /"qwen3_vl" cannot be pruned: its decoder takes "deepstack_visual_embeds_0", which Transformers.js does not pass on/,
    )
    expect(adapterFor(config('qwen3_vl'), decoder('position_ids')).family).toBe('qwen-vl')
  })

  it('every family of the conformance suite has an adapter, and every adapter a family in it', () => {
    const tested = new Set(families.map(({ name }) => adapterFor(config(name)).family))
    const error = (() => {
      try {
        adapterFor(config('none'))
      } catch (thrown) {
        return (thrown as Error).message
      }
      return ''
    })()
    const supported = /supported: (.*)\)/.exec(error)![1]!.split(', ')
    expect(supported.length).toBeGreaterThan(10)
    for (const name of supported) expect(tested).toContain(adapterFor(config(name)).family)
  })
})

describe('a config.json that does not tell what pruning needs', () => {
  let folder: string
  beforeAll(async () => (folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-config-'))))
  afterAll(() => rm(folder, { recursive: true }))

  const broken = async (family: string, change: object) => {
    const { folder: source } = families.find(({ name }) => name === family)!
    const target = path.join(folder, family)
    await cp(source(), target, { recursive: true })
    const file = path.join(target, 'config.json')
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...change }))
    return loadPruned(target, { dtype: 'fp32' })
  }

  it.each([
    ['llava_qwen2', { mm_vision_tower: 'mytower' }, /^config\.json: mm_vision_tower: got "mytower", allowed: a name/],
    ['gemma3', { mm_tokens_per_image: 15 }, /^config\.json: mm_tokens_per_image: got 15, allowed: a square number/],
    ['gemma3', { mm_tokens_per_image: 64 }, /attention/],
  ])('%s %j', async (family, change, message) => {
    await expect(broken(family, change)).rejects.toThrow(message)
  })
})

describe('tilesByMarks', () => {
  const row = (...ids: number[]) => new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])

  it('tiles of one picture stand one mark apart, pictures further', () => {
    // start, mark, 2 tokens, mark, 2 tokens, mark, 1 token, end; start, 3 tokens, end
    const ids = row(5, 10, 4, 4, 11, 4, 4, 7, 4, 6, 5, 4, 4, 4, 6)
    expect(tilesByMarks(ids, 4, [2, 2, 1, 3])).toEqual([3, 1])
    expect(tilesByMarks(row(5, 4, 6, 5, 4, 6), 4, [1, 1])).toEqual([1, 1])
    expect(tilesByMarks(row(1, 2, 3), 4, [])).toEqual([])
  })

  it('begins anew with every row', () => {
    const rows = new Tensor('int64', BigInt64Array.from([4, 7, 4, 0, 4, 6], BigInt), [2, 3])
    expect(tilesByMarks(rows, 4, [1, 1, 1])).toEqual([2, 1])
  })
})
