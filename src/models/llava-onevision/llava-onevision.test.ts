import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { RawImage, Tensor, type DynamicCache } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pattern } from '../../../test/families.js'
import { greedy, idsAfter, lastLogits, maxDifference, promptOf, type AnyModel } from '../../../test/tiny-llava.js'
import { ask, loadPruned, type PrunedModel, type SelectionEvent, type StageEvent } from '../../index.js'
import { planeOf } from './plane.js'

/** training/fixtures/make_llava_onevision.py: Hugging Face's model with random weights and PyTorch's answers. */
const folder = fileURLToPath(new URL('../../../test/fixtures/tiny-onevision-anyres', import.meta.url))
interface Run {
  last_token_logits: number[]
  greedy_tokens: number[]
}
interface Sample {
  size: [number, number]
  tiles: number
  scaled: boolean
  plane: [number, number]
  input_ids: number[]
  full: Run
  pruned: Run & { keep: number; visual_tokens: number }
}
const { samples } = JSON.parse(await readFile(`${folder}/golden.json`, 'utf8')) as { samples: Sample[] }
const [SIDE, TOKENS] = [28, 16]
const int64 = (values: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
const inputsOf = ({ size, tiles, input_ids }: Sample) => ({
  ...promptOf(input_ids),
  pixel_values: new Tensor('float32', pattern(0, tiles * 3 * SIDE * SIDE), [tiles, 3, SIDE, SIDE]),
  image_sizes: int64(size, [1, 2]),
  num_tiles: int64([tiles], [1]),
})
const picture = (width: number, height: number) =>
  new RawImage(
    Uint8ClampedArray.from({ length: width * height * 3 }, (_, i) => (i * 13) % 256),
    width,
    height,
    3,
  )

let loaded: PrunedModel
let model: AnyModel
beforeAll(async () => {
  loaded = await loadPruned(folder, { dtype: 'fp32', tiles: 'anyres' })
  model = loaded.model as unknown as AnyModel
})
afterAll(() => model.dispose())
const process = async (images: RawImage | RawImage[], text: string) =>
  (await (loaded.processor as unknown as (...args: unknown[]) => Promise<unknown>)(images, text)) as ReturnType<
    typeof inputsOf
  >

describe.each(samples)('LLaVA-OneVision, a picture of $size in $tiles tiles, against PyTorch', (sample) => {
  const inputs = inputsOf(sample)

  it('keep-all', async () => {
    const all = { pruning: { method: 'none' } }
    expect(await greedy(model, inputs, { max_new_tokens: 6, ...all })).toEqual(sample.full.greedy_tokens)
    const logits = await lastLogits(model, { ...inputs, ...all })
    expect(maxDifference(logits, sample.full.last_token_logits)).toBeLessThan(1e-4)
  })

  it('pruned: an even share for each tile, newlines kept, scores scaled down with the features', async () => {
    const { keep, visual_tokens, greedy_tokens, last_token_logits } = sample.pruned
    const events: SelectionEvent[] = []
    const stages: StageEvent[] = []
    // Without a CLS token this method keeps the best of the deep layer's scores.
    const pruning = {
      keep,
      method: 'cls-attention',
      onSelection: (event: SelectionEvent) => events.push(event),
      onStage: (event: StageEvent) => stages.push(event),
    }
    expect(await greedy(model, inputs, { max_new_tokens: 6, pruning })).toEqual(greedy_tokens)
    expect(maxDifference(await lastLogits(model, { ...inputs, pruning }), last_token_logits)).toBeLessThan(1e-4)
    const counts = events[0]!.images.map(({ selection }) => selection.kept.length)
    expect(counts).toHaveLength(sample.tiles)
    expect(Math.max(...counts)).toBe(keep / sample.tiles)
    const text = sample.input_ids.filter((id) => id !== 4).length
    expect(stages.find(({ stage }) => stage === 'prefill')!.tokens).toBe(text + visual_tokens)
    expect(greedy_tokens).not.toEqual(sample.full.greedy_tokens)
  })

  it('its plane has the rows and columns that PyTorch makes', () => {
    const tiles = ([[2, 4], [5, 6]] as const)[samples.indexOf(sample)]! // prettier-ignore
    const { layout, mixed } = planeOf(sample.size, tiles, 4, 9)
    const rows = layout.tokens.filter((token) => token === -1).length
    expect([rows, (layout.tokens.length - TOKENS) / rows - 1]).toEqual(sample.plane)
    expect(mixed.length > 0).toBe(sample.scaled)
    for (const sources of mixed.flatMap((grid) => grid?.tokens ?? []))
      expect(sources.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9)
  })
})

describe('LLaVA-OneVision', () => {
  it('its processor cuts one picture into tiles and takes several pictures whole, a newline each', async () => {
    const one = await process(picture(110, 50), 'see <image> ?')
    expect(one.pixel_values.dims).toEqual([9, 3, SIDE, SIDE])
    expect(one.input_ids.dims[1]! - promptOf([0]).input_ids.dims[1]!).toBeGreaterThan(samples[0]!.plane[0] * 17)
    const placeholders = (inputs: typeof one) =>
      Array.from(inputs.input_ids.data as BigInt64Array).filter((id) => id === 4n).length
    expect(placeholders(one)).toBe(samples[0]!.input_ids.filter((id) => id === 4).length)
    const two = await process([picture(110, 50), picture(30, 90)], '<image> or <image> ?')
    expect(two.pixel_values.dims[0]).toBe(2)
    expect(placeholders(two)).toBe(2 * (TOKENS + 1))
    expect((await greedy(model, two, { max_new_tokens: 2 })).length).toBe(2)
  })

  it('answers through ask(), and a later turn about a scaled picture on the KV cache as from scratch', async () => {
    const answer = await ask(loaded, [picture(165, 140)], 'What is it?', { max_new_tokens: 2, keep: 62 })
    expect(answer.images).toHaveLength(31)
    expect(answer.images.map(({ selection }) => selection.kept.length).slice(1)).toEqual(Array<number>(30).fill(2))

    const turn = async (given: object, options: object) =>
      (await model.generate({ ...given, max_new_tokens: 4, do_sample: false, eos_token_id: 99_999, ...options })) as {
        sequences: Tensor
        past_key_values: DynamicCache
      }
    const [first, second] = [inputsOf(samples[0]!), inputsOf(samples[1]!)]
    const before = await turn(first, { return_dict_in_generate: true })
    const ids = [...idsAfter(before.sequences, 0)[0]!, ...samples[1]!.input_ids.slice(1)]
    const join = (name: 'image_sizes' | 'num_tiles', dims: number[]) =>
      int64([...Array.from(first[name].data as BigInt64Array, Number), ...Array.from(second[name].data as BigInt64Array, Number)], dims) // prettier-ignore
    const pixels = [...(first.pixel_values.data as Float32Array), ...(second.pixel_values.data as Float32Array)]
    const both = {
      ...promptOf(ids),
      pixel_values: new Tensor('float32', pixels, [40, 3, SIDE, SIDE]),
      image_sizes: join('image_sizes', [2, 2]),
      num_tiles: join('num_tiles', [2]),
    }
    const after = await turn(both, { past_key_values: before.past_key_values, return_dict_in_generate: true })
    expect(idsAfter(after.sequences, ids.length)[0]).toEqual(await greedy(model, both, { max_new_tokens: 4 }))
  })

  it("'single' is the default: one tile a picture, as Transformers.js makes it", async () => {
    const single = await loadPruned(folder, { dtype: 'fp32' })
    const answer = await ask(single, [picture(110, 50)], 'What is it?', { max_new_tokens: 2, keep: 5 })
    expect(answer.images.map(({ selection }) => selection.kept.length)).toEqual([5])
    expect(answer.visualTokens).toBe(TOKENS)
    await single.model.dispose()
  })

  it('says what tiles need, and which families have a choice', async () => {
    const copy = await mkdtemp(path.join(os.tmpdir(), 'hiprune-onevision-'))
    await cp(folder, copy, { recursive: true })
    await rm(path.join(copy, 'image_newline.f32.bin'))
    await expect(loadPruned(copy, { tiles: 'anyres' })).rejects.toThrow(
      /^tiles: got "anyres", allowed: 'single' for this folder, which has no image_newline\.f32\.bin$/,
    )
    await rm(copy, { recursive: true })
    await expect(loadPruned(folder, { tiles: 'many' as never })).rejects.toThrow(
      /^tiles: got "many", allowed: 'single' or 'anyres'$/,
    )
    const video = fileURLToPath(new URL('../../../test/fixtures/tiny-video-llava', import.meta.url))
    await expect(loadPruned(video, { tiles: 'anyres' })).rejects.toThrow(
      /model_type "video_llava", which has no choice$/,
    )
  })
})
