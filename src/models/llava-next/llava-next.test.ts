import { RawImage, Tensor } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oracleRoot, readGolden, readGoldenBin, type BinReference } from '../../../test/golden.js'
import {
  greedy,
  idsAfter,
  lastLogits,
  maxDifference,
  promptOf,
  type AnyModel,
  type GoldenRun,
} from '../../../test/tiny-llava.js'
import { trueLength } from '../../generation/virtual-cache.js'
import { ask, loadPruned, unprune, type PrunedModel, type SelectionEvent } from '../../index.js'
import type { DynamicCache } from '@huggingface/transformers'
import { bestResolution } from './anyres.js'
import { layoutOf, type MergeType } from './layout.js'

type Run = GoldenRun & { input_ids: number[]; num_image_tokens: number }
interface Sample {
  png: string
  prompt: string
  prompt_ids: number[]
  image_token_id: number
  original_size_hw: [number, number]
  pixel_values: BinReference
  full_spatial: Run
  full_spatial_unpad: Run
  pruned: {
    retention: number
    alpha: number
    object_layer: number
    tiles: { kept: number[] }[]
    spatial: GoldenRun & { n_image_tokens: number }
    spatial_unpad: GoldenRun & { n_image_tokens: number }
  }[]
}

const folder = `${oracleRoot}models/tiny-llava-next`
const [sample] = readGolden<{ samples: [Sample] }>('vlm_llava_next').samples
const pixels = new Tensor('float32', readGoldenBin(sample.pixel_values), sample.pixel_values.shape)
const image_sizes = new Tensor('int64', BigInt64Array.from(sample.original_size_hw, BigInt), [1, 2])
const inputsOf = (merge: MergeType) => ({
  ...promptOf(sample[`full_${merge}`].input_ids),
  pixel_values: pixels,
  image_sizes,
})

describe.each(['spatial', 'spatial_unpad'] as const)("LLaVA-NeXT, layout '%s'", (merge) => {
  const load = async (options: object) => {
    const loaded = await loadPruned(folder, { dtype: 'fp32', ...options })
    Object.assign(loaded.model.config, { mm_patch_merge_type: merge })
    return loaded.model as unknown as AnyModel
  }

  it('keep-all equals the unpruned reference', async () => {
    const model = await load({ method: 'none' })
    const full = sample[`full_${merge}`]
    expect(await greedy(model, inputsOf(merge))).toEqual(full.greedy_tokens)
    expect(maxDifference(await lastLogits(model, inputsOf(merge)), full.last_token_logits)).toBeLessThan(1e-4)
    await model.dispose()
  })

  it('pruned equals the reference: tile budgets, newlines never pruned', async () => {
    for (const golden of sample.pruned) {
      const events: SelectionEvent[] = []
      const model = await load({
        keep: golden.retention,
        alpha: golden.alpha,
        objectLayer: golden.object_layer,
        borders: 'clamp',
        onSelection: (event: SelectionEvent) => events.push(event),
      })
      expect(await greedy(model, inputsOf(merge))).toEqual(golden[merge].greedy_tokens)
      expect(events[0]!.images.map(({ selection }) => [...selection.kept])).toEqual(
        golden.tiles.map(({ kept }) => kept),
      )
      expect(maxDifference(await lastLogits(model, inputsOf(merge)), golden[merge].last_token_logits)).toBeLessThan(
        1e-4,
      )
      await model.dispose()
    }
  })
})

describe('LLaVA-NeXT', () => {
  let loaded: PrunedModel
  let model: AnyModel
  let image: RawImage
  beforeAll(async () => {
    loaded = await loadPruned(folder, { keep: '1/3', dtype: 'fp32' })
    model = loaded.model as unknown as AnyModel
    image = await RawImage.read(`${oracleRoot}golden/${sample.png}`)
  })
  afterAll(() => model.dispose())

  const processed = async (images: RawImage | RawImage[], text: string) =>
    (await (loaded.processor as unknown as (images: unknown, text: string) => Promise<unknown>)(
      images,
      text,
    )) as ReturnType<typeof inputsOf>

  it('the processor makes the golden prompt and, where nothing is resized, the golden pixels', async () => {
    const inputs = await processed(image, sample.prompt)
    expect(Array.from(inputs.input_ids.data as BigInt64Array, Number)).toEqual(sample.full_spatial_unpad.input_ids)
    expect(inputs.pixel_values.dims).toEqual(sample.pixel_values.shape)
    const size = 3 * 112 * 112
    const [ours, golden] = [inputs.pixel_values.data as Float32Array, readGoldenBin(sample.pixel_values)]
    expect(maxDifference(ours.subarray(size), golden.subarray(size))).toBeLessThan(1e-6)
    // The base image is resized, by another resizer than Python's: of the same kernel.
    const difference = ours.subarray(0, size).reduce((sum, value, i) => sum + Math.abs(value - golden[i]!), 0) / size
    expect(difference).toBeLessThan(0.001)
  })

  it('answers about pictures of any shape, several in one question', async () => {
    const tall = new RawImage(
      Uint8ClampedArray.from({ length: 60 * 190 * 3 }, (_, i) => (i * 13) % 256),
      60,
      190,
      3,
    )
    const answer = await ask(loaded, [image, tall], 'What is shown?', { max_new_tokens: 3 })
    // Both make a base image and 2 tiles: [112, 224], and for 190 x 60 [224, 112].
    expect(answer.images).toHaveLength(6)
    expect(answer.images.map(({ selection }) => selection.kept.length)).toEqual(Array<number>(6).fill(21))
  })

  it('answers a later turn with another picture on the KV cache as from scratch', async () => {
    const generate = async (inputs: object, options: object) =>
      (await model.generate({ ...inputs, max_new_tokens: 5, do_sample: false, eos_token_id: 99_999, ...options })) as {
        sequences: Tensor
        past_key_values: DynamicCache
      }
    const first = await processed(image, sample.prompt)
    const turn = await generate(first, { return_dict_in_generate: true })
    const tall = new RawImage(
      Uint8ClampedArray.from({ length: 60 * 190 * 3 }, (_, i) => (i * 13) % 256),
      60,
      190,
      3,
    )
    const both = await processed([image, tall], '<image> <image>')
    const second = await processed(tall, '<image>')
    const newIds = Array.from(second.input_ids.data as BigInt64Array, Number)
    const ids = [...idsAfter(turn.sequences, 0)[0]!, ...newIds.slice(1), 90]
    const inputs = { ...promptOf(ids), pixel_values: both.pixel_values, image_sizes: both.image_sizes }
    const next = await generate(inputs, { past_key_values: turn.past_key_values, return_dict_in_generate: true })
    expect(idsAfter(next.sequences, ids.length)[0]).toEqual(await greedy(model, inputs, { max_new_tokens: 5 }))
    expect(trueLength(next.past_key_values)).toBeLessThan(next.past_key_values.get_seq_length())
  })

  it('unprune restores the model', () => {
    unprune(loaded.model)
    expect(Object.getOwnPropertyNames(loaded.model)).not.toContain('forward')
  })
})

describe('anyres', () => {
  const pinpoints = [
    [336, 672],
    [672, 336],
    [672, 672],
    [1008, 336],
    [336, 1008],
  ] as const
  it.each([
    [
      [480, 640],
      [672, 672],
    ],
    [
      [300, 1000],
      [336, 1008],
    ],
    [
      [1000, 300],
      [1008, 336],
    ],
    [
      [336, 672],
      [336, 672],
    ],
    [
      [100, 100],
      [336, 672],
    ],
  ] as const)('%s goes into %s', (size, best) => expect(bestResolution(size, pinpoints)).toEqual(best))

  it('unpads rows or columns and ends rows with a newline', () => {
    const wide = layoutOf([100, 400], [2, 2], 2, 'spatial_unpad')
    // 4 x 4 tokens for a picture of 1 : 4: of the four rows one is picture, (4 - 1) / 2 = 1 is taken from either side.
    expect([...wide.tokens]).toEqual([0, 1, 2, 3, 6, 7, 10, 11, -1, 12, 13, 16, 17, -1])
    expect([...layoutOf([100, 400], [2, 2], 2, 'spatial').tokens]).toHaveLength(20)
  })
})
