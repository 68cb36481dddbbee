import {
  AutoModelForImageTextToText,
  AutoProcessor,
  DynamicCache,
  RawImage,
  Tensor,
  cat,
} from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oracleRoot, readGolden, readGoldenBin, type BinReference } from '../../test/golden.js'
import {
  greedy,
  idsAfter,
  lastLogits,
  maxDifference,
  promptOf,
  type AnyModel,
  type GoldenRun,
} from '../../test/tiny-llava.js'
import { ask, loadPruned, tapModel, unprune, withPruning, type PrunedModel, type SelectionEvent } from '../index.js'
import { trueLength } from '../generation/virtual-cache.js'

interface Sample {
  png: string
  grid_thw: number[]
  input_ids: number[]
  image_token_id: number
  pixel_values: BinReference
  mrope_position_delta: number
  full: GoldenRun
  pruned: (GoldenRun & {
    retain: number
    alpha: number
    object_layer: number
    mode: string
    kept: number[]
    visual_token_num: number
    first_decode_position: number
  })[]
}

const folder = `${oracleRoot}models/tiny-qwen2.5-vl`
const { samples } = readGolden<{ samples: Sample[] }>('vlm_qwen2_5_vl')
const load = async () =>
  (await AutoModelForImageTextToText.from_pretrained(folder, { dtype: 'fp32' })) as unknown as AnyModel

const pixelsOf = ({ pixel_values, grid_thw }: Sample) => ({
  pixel_values: new Tensor('float32', readGoldenBin(pixel_values), pixel_values.shape),
  image_grid_thw: new Tensor('int64', BigInt64Array.from(grid_thw, BigInt), [1, 3]),
})
const inputsOf = (sample: Sample) => ({ ...promptOf(sample.input_ids), ...pixelsOf(sample) })

describe.each(samples.map((sample, i) => [i, sample] as const))('Qwen2.5-VL, golden sample %i', (_, sample) => {
  it('unpruned and keep-all equal the reference', async () => {
    const model = await load()
    expect(await greedy(model, inputsOf(sample))).toEqual(sample.full.greedy_tokens)
    const unprunedLogits = await lastLogits(model, inputsOf(sample))
    expect(maxDifference(unprunedLogits, sample.full.last_token_logits)).toBeLessThan(1e-4)
    withPruning(model, { method: 'none' })
    expect(await greedy(model, inputsOf(sample))).toEqual(sample.full.greedy_tokens)
    expect(maxDifference(await lastLogits(model, inputsOf(sample)), unprunedLogits)).toBe(0)
    await model.dispose()
  })

  it('every pruned run equals the reference: original positions, windows undone', async () => {
    // Where the public code picks a token twice and falls short, ours keeps exactly K and cannot equal it.
    const goldens = sample.pruned.filter((run) => run.mode === 'eager' && run.kept.length === run.visual_token_num)
    expect(goldens.length).toBeGreaterThan(0)
    for (const golden of goldens) {
      const model = await load()
      await tapModel(model, folder, { objectLayer: golden.object_layer })
      const events: SelectionEvent[] = []
      const keep = golden.visual_token_num
      withPruning(model, { keep, alpha: golden.alpha, borders: 'clamp', onSelection: (event) => events.push(event) })
      expect(await greedy(model, inputsOf(sample))).toEqual(golden.greedy_tokens)
      expect([...events[0]!.images[0]!.selection.kept]).toEqual(golden.kept)
      expect(maxDifference(await lastLogits(model, inputsOf(sample)), golden.last_token_logits)).toBeLessThan(1e-4)
      await model.dispose()
    }
  })
})

describe('Qwen2.5-VL', () => {
  const [first, second] = samples as [Sample, Sample]
  let model: AnyModel
  let loaded: PrunedModel
  beforeAll(async () => {
    loaded = await loadPruned(folder, { keep: '1/3', dtype: 'fp32' })
    model = loaded.model as unknown as AnyModel
  })
  afterAll(() => model.dispose())

  const both = {
    pixel_values: cat([pixelsOf(first).pixel_values, pixelsOf(second).pixel_values], 0),
    image_grid_thw: cat([pixelsOf(first).image_grid_thw, pixelsOf(second).image_grid_thw], 0),
  }
  const answers = async (inputs: object, options: object) =>
    (await model.generate({ ...inputs, max_new_tokens: 6, do_sample: false, eos_token_id: 99_999, ...options })) as {
      sequences: Tensor
      past_key_values: DynamicCache
    }

  it('answers several turns with images of different sizes on one KV cache as from scratch', async () => {
    const turn = await answers(inputsOf(first), { return_dict_in_generate: true })
    let conversation = idsAfter(turn.sequences, 0)[0]!
    let cache = turn.past_key_values
    const imageIds = [9, ...second.input_ids.filter((id) => id === second.image_token_id), 10]
    for (const image of [[], imageIds, []]) {
      conversation = [...conversation, 60, 61, ...image, 62]
      const pixels = conversation.filter((id) => id === 9).length === 1 ? pixelsOf(first) : both
      const inputs = { ...promptOf(conversation), ...pixels }
      const next = await answers(inputs, { past_key_values: cache, return_dict_in_generate: true })
      const answer = idsAfter(next.sequences, conversation.length)[0]!
      expect(answer).toEqual(await greedy(model, inputs, { max_new_tokens: 6 }))
      conversation = [...conversation, ...answer]
      cache = next.past_key_values
    }
    expect(cache.get_seq_length()).toBe(conversation.length - 1)
    const dropped = (tokens: number) => tokens - Math.round(tokens / 3)
    const sizes = [first, second].map(
      ({ input_ids, image_token_id }) => input_ids.filter((id) => id === image_token_id).length,
    )
    expect(trueLength(cache)).toBe(conversation.length - 1 - dropped(sizes[0]!) - dropped(sizes[1]!))
  })

  it('answers a batch of two images of different sizes as one by one', async () => {
    const alone = [await greedy(model, inputsOf(first)), await greedy(model, inputsOf(second))]
    const width = Math.max(first.input_ids.length, second.input_ids.length)
    const padded = [first, second].map(({ input_ids }) => [
      ...Array<number>(width - input_ids.length).fill(6),
      ...input_ids,
    ])
    const mask = [first, second].map(({ input_ids }) =>
      padded[0]!.map((_, i) => (i < width - input_ids.length ? 0 : 1)),
    )
    const rows = (values: number[][]) => new Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [2, width])
    const output = await model.generate({
      input_ids: rows(padded),
      attention_mask: rows(mask),
      ...both,
      max_new_tokens: 8,
      do_sample: false,
      eos_token_id: 99_999,
    })
    expect(idsAfter(output as Tensor, width)).toEqual(alone)
  })

  it('answers about images of any size through ask(), several in one question', async () => {
    const images = await Promise.all(samples.map(({ png }) => RawImage.read(`${oracleRoot}golden/${png}`)))
    const one = await ask(loaded, images.slice(0, 1), 'What is shown in this image?', { max_new_tokens: 4 })
    expect(one.visualTokens).toBe(first.input_ids.filter((id) => id === first.image_token_id).length)
    const two = await ask(loaded, images, 'What is shown?', { max_new_tokens: 4 })
    expect(two.images.map(({ grid }) => [grid.rows * 2, grid.columns * 2])).toEqual(
      samples.map(({ grid_thw }) => grid_thw.slice(1)),
    )
    expect(two.newTokens).toBe(4)
  })

  it('the processor gives the golden pixels', async () => {
    const processor = (await AutoProcessor.from_pretrained(folder)) as unknown as {
      image_processor(image: RawImage): Promise<{ pixel_values: Tensor }>
    }
    const image = await RawImage.read(`${oracleRoot}golden/${first.png}`)
    const { pixel_values } = await processor.image_processor(image)
    expect(maxDifference(pixel_values.data as Float32Array, readGoldenBin(first.pixel_values))).toBeLessThan(1e-5)
  })

  it('unprune restores the model', async () => {
    unprune(model)
    expect(await greedy(model, inputsOf(first))).toEqual(first.full.greedy_tokens)
  })
})
