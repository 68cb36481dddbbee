import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { RawImage, Tensor } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oracleRoot } from '../../test/golden.js'
import { maxDifference } from '../../test/tiny-llava.js'
import { encodeImages } from '../generation/encode-images.js'
import { relevanceOf } from '../generation/question.js'
import { ask, loadPruned, type PrunedModel } from '../index.js'
import { loadTextTower, type TextTower } from './text-tower.js'
import type { ModelInputs, VisionLanguageModel } from './transformers.js'

const fixture = fileURLToPath(new URL('../../test/fixtures/clip-text-tower', import.meta.url))
interface Golden {
  cases: { question: string; segments: number; text_embeds: number[]; relevance: number[] }[]
}

/** tiny-llava with the fixture's vision encoder and its paired text tower (training/fixtures/make_clip_text_tower.py). */
let folder: string
let loaded: PrunedModel
let vlm: VisionLanguageModel
let textTower: TextTower
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-clip-'))
  await cp(`${oracleRoot}models/tiny-llava`, folder, { recursive: true })
  await cp(fixture, folder, { recursive: true })
  loaded = await loadPruned(folder, { keep: 21, method: 'hiprune++', beta: 0.5, dtype: 'fp32' })
  vlm = loaded.model as unknown as VisionLanguageModel
  textTower = (await loadTextTower(vlm, { modelId: folder })) as TextTower
})
afterAll(async () => {
  await loaded.model.dispose()
  await rm(folder, { recursive: true })
})

describe('the paired CLIP text tower', () => {
  it('embeds short questions and those over 77 tokens as PyTorch does, and so does the relevance', async () => {
    const { cases } = JSON.parse(await readFile(`${fixture}/golden.json`, 'utf8')) as Golden
    const pixels = Float32Array.from({ length: 3 * 112 * 112 }, (_, i) => ((i * 37) % 256) / 255)
    const inputs = { pixel_values: new Tensor('float32', pixels, [1, 3, 112, 112]) } as ModelInputs
    const { images } = await encodeImages(vlm, inputs, [{ rows: 8, columns: 8 }])
    for (const { question, text_embeds, relevance } of cases) {
      expect(maxDifference(await textTower.embed(question), text_embeds)).toBeLessThan(1e-5)
      const source = { question, tokenizer: loaded.tokenizer, textTower }
      expect(maxDifference(await relevanceOf(vlm, source, [], 4, images[0]!), relevance)).toBeLessThan(1e-5)
    }
    expect(cases.map(({ segments }) => segments > 1)).toEqual([false, true])
  })

  it('decides what hiprune++ keeps, instead of the input embeddings', async () => {
    const pixels = Uint8ClampedArray.from({ length: 112 * 112 * 3 }, (_, i) => (i * 37) % 256)
    const image = new RawImage(pixels, 112, 112, 3)
    const textTokens = async (question: string, options = {}) => {
      const { images } = await ask(loaded, [image], question, { max_new_tokens: 1, ...options })
      const { kept, roles } = images[0]!.selection
      return [...kept].filter((_, i) => roles[i] === 4)
    }
    const withTower = await textTokens('is there a red circle ?')
    expect(withTower).toHaveLength(10)
    expect(withTower).not.toEqual(await textTokens('is there a red circle ?', { textTower: undefined }))
    expect(withTower).not.toEqual(await textTokens('how many cat dog cat ?'))
  })

  it('says which file of an announced tower is missing', async () => {
    await rm(path.join(folder, 'clip_tokenizer'), { recursive: true })
    await expect(loadTextTower(vlm, { modelId: folder })).rejects.toThrow(
      /clip_tokenizer\/tokenizer\.json of .* not found in/,
    )
  })
})
