import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  InterruptableStoppingCriteria,
  RawImage,
  Tensor,
  TextStreamer,
  type DynamicCache,
} from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { greedy, idsAfter, lastLogits, maxDifference, promptOf, type AnyModel } from '../../../test/tiny-llava.js'
import { encodeImages } from '../../generation/encode-images.js'
import { trueLength } from '../../generation/virtual-cache.js'
import { loadPruned, unprune, type PrunedModel, type SelectionEvent, type StageEvent } from '../../index.js'
import type { Video, Visual } from '../../image/index.js'
import type { ModelInputs, VisionLanguageModel } from '../transformers.js'
import { videoLlava } from './index.js'
import { frameTensor } from './processor.js'

/** training/fixtures/make_video_llava.py: Hugging Face's model with random weights and PyTorch's answers. */
const folder = fileURLToPath(new URL('../../../test/fixtures/tiny-video-llava', import.meta.url))
interface Run {
  last_token_logits: number[]
  greedy_tokens: number[]
}
const golden = JSON.parse(await readFile(`${folder}/golden.json`, 'utf8')) as {
  input_ids: number[]
  full: Run
  scores: number[][]
  pruned: Run & { keep: number; alpha: number; object_layer: number; kept: number[][] }
}
const [SIDE, TOKENS, FRAMES] = [42, 36, 8]
const pattern = (count: number, factor: number) =>
  Float32Array.from({ length: count * 3 * SIDE * SIDE }, (_, i) => ((i * factor) % 256) / 127.5 - 1)
const pixelsOf = (...parts: Float32Array[]) => {
  const data = Float32Array.from(parts.flatMap((part) => [...part]))
  return new Tensor('float32', data, [data.length / (3 * SIDE * SIDE), 3, SIDE, SIDE])
}
/** A video of eight frames and then a still image. */
const inputs = {
  ...promptOf(golden.input_ids),
  pixel_values: pixelsOf(pattern(FRAMES, 37), pattern(1, 91)),
  num_frames: frameTensor([FRAMES, 0]),
}
const picture = (seed: number, width = SIDE, height = SIDE) =>
  new RawImage(
    Uint8ClampedArray.from({ length: width * height * 3 }, (_, i) => (i * seed) % 256),
    width,
    height,
    3,
  )
const clip = (length: number): Video => ({ frames: Array.from({ length }, (_, i) => picture(7 + 2 * i)) })

let loaded: PrunedModel
let model: AnyModel
beforeAll(async () => {
  const { alpha, object_layer: objectLayer, keep } = golden.pruned
  loaded = await loadPruned(folder, { dtype: 'fp32', keep, alpha, objectLayer })
  model = loaded.model as unknown as AnyModel
})
afterAll(() => model.dispose())
const process = async (visuals: Visual | Visual[], text: string) =>
  (await (loaded.processor as unknown as (...args: unknown[]) => Promise<unknown>)(visuals, text)) as typeof inputs
const newTokens = (from: typeof inputs, options: object = {}) => greedy(model, from, { max_new_tokens: 6, ...options })
const all = { pruning: { method: 'none' } }

describe('Video-LLaVA against PyTorch', () => {
  it('attention received by every token of every frame', async () => {
    const vlm = model as unknown as VisionLanguageModel
    const given = inputs as unknown as ModelInputs
    const runs = videoLlava.encoderRuns!(vlm.config, given)
    const { images } = await encodeImages(vlm, given, videoLlava.grids(vlm.config, given), runs)
    const frames = images.slice(0, FRAMES)
    const deep = frames.flatMap(({ deepScores }) => Array.from(deepScores!))
    expect(maxDifference(deep, golden.scores.at(-1)!)).toBeLessThan(5e-6)
    const object = frames.flatMap(({ objectScores }) => Array.from(objectScores!))
    expect(maxDifference(object, golden.scores[golden.pruned.object_layer - 1]!)).toBeLessThan(5e-6)
  })

  it('keep-all: a video and a picture in one prompt, CLS of every frame included', async () => {
    expect(await newTokens(inputs, all)).toEqual(golden.full.greedy_tokens)
    const logits = await lastLogits(model, { ...inputs, ...all })
    expect(maxDifference(logits, golden.full.last_token_logits)).toBeLessThan(1e-4)
  })

  it('pruned: an even share of the budget for each frame, its CLS kept and not counted', async () => {
    const events: SelectionEvent[] = []
    const pruning = { onSelection: (event: SelectionEvent) => events.push(event) }
    expect(await newTokens(inputs, { pruning })).toEqual(golden.pruned.greedy_tokens)
    expect(events[0]!.images.map(({ selection }) => [...selection.kept])).toEqual(golden.pruned.kept)
    expect(maxDifference(await lastLogits(model, inputs), golden.pruned.last_token_logits)).toBeLessThan(1e-4)
    expect(golden.pruned.greedy_tokens).not.toEqual(golden.full.greedy_tokens)
  })
})

describe('Video-LLaVA', () => {
  it('its processor writes the placeholders of images and videos, scaled and cut like CLIP', async () => {
    const video = { frames: [picture(3, 90, 60), picture(5, 90, 60)] }
    const made = await process([picture(9, 30, 80), video], 'a <image> b <video> c')
    expect(made.pixel_values.dims).toEqual([3, 3, SIDE, SIDE])
    expect([...(made.num_frames.data as BigInt64Array)]).toEqual([0n, 2n])
    const ids = Array.from(made.input_ids.data as BigInt64Array, Number)
    expect(ids.filter((id) => id === 4)).toHaveLength(TOKENS)
    expect(ids.filter((id) => id === 5)).toHaveLength(2 * (TOKENS + 1))
    expect(ids.lastIndexOf(4)).toBeLessThan(ids.indexOf(5))
    // A frame that needs no scaling is normalised only: mean and deviation are 0.5.
    const same = await process(clip(1), '<video>')
    const [frame] = clip(1).frames as RawImage[]
    const channel = Float32Array.from({ length: SIDE * SIDE }, (_, i) => frame!.data[3 * i]! / 127.5 - 1)
    expect(maxDifference((same.pixel_values.data as Float32Array).subarray(0, SIDE * SIDE), channel)).toBeLessThan(1e-6)
  })

  it('says which placeholders do not fit', async () => {
    await expect(process([picture(3), clip(2)], '<video> <image>')).rejects.toThrow(
      /^the text has the placeholders <video> <image>, but was given <image> <video>/,
    )
    await expect(process(clip(2), 'no video')).rejects.toThrow(/placeholders none, but was given <video>/)
    await expect(process({ frames: [] }, '<video>')).rejects.toThrow(/^frames: got Array of length 0/)
  })

  it('K tokens and one CLS a frame reach the decoder', async () => {
    const stages: StageEvent[] = []
    const made = await process(clip(5), '<video> what?')
    const text = made.input_ids.dims[1]! - 5 * (TOKENS + 1)
    await newTokens(made, { pruning: { keep: 20, onStage: (event: StageEvent) => stages.push(event) } })
    expect(stages.find(({ stage }) => stage === 'prefill')!.tokens).toBe(text + 20 + 5)
    await newTokens(made, { pruning: { keep: 2, onStage: (event: StageEvent) => stages.push(event) } })
    expect(stages.filter(({ stage }) => stage === 'prefill').at(-1)!.tokens).toBe(text + 5 + 5)
  })

  it('answers a later turn with another video on the KV cache as from scratch', async () => {
    const turn = async (given: object, options: object) =>
      (await model.generate({ ...given, max_new_tokens: 5, do_sample: false, eos_token_id: 99_999, ...options })) as {
        sequences: Tensor
        past_key_values: DynamicCache
      }
    const first = await process(clip(3), '<video> one')
    const before = await turn(first, { return_dict_in_generate: true })
    const both = await process([...[clip(3)], clip(2), picture(11)], '<video> <video> <image>')
    const second = await process([clip(2), picture(11)], '<video> and <image>')
    const added = Array.from(second.input_ids.data as BigInt64Array, Number).slice(1)
    const ids = [...idsAfter(before.sequences, 0)[0]!, ...added]
    const given = { ...both, ...promptOf(ids) }
    const after = await turn(given, { past_key_values: before.past_key_values, return_dict_in_generate: true })
    expect(idsAfter(after.sequences, ids.length)[0]).toEqual(await newTokens(given, { max_new_tokens: 5 }))
    expect(trueLength(after.past_key_values)).toBeLessThan(after.past_key_values.get_seq_length())
  })

  it('a batch of two videos equals its rows one by one, left-padded', async () => {
    const rows = [await process(clip(3), '<video> one'), await process(clip(2), '<video> two ?')]
    const alone = [await newTokens(rows[0]!), await newTokens(rows[1]!)]
    const ids = rows.map(({ input_ids }) => Array.from(input_ids.data as BigInt64Array))
    const width = Math.max(...ids.map(({ length }) => length))
    const padded = (values: (row: bigint[]) => bigint[], fill: bigint) => {
      const lines = ids.map((row) => [...Array<bigint>(width - row.length).fill(fill), ...values(row)])
      return new Tensor('int64', BigInt64Array.from(lines.flat()), [2, width])
    }
    const output = (await model.generate({
      input_ids: padded((row) => row, 3n),
      attention_mask: padded((row) => row.map(() => 1n), 0n),
      pixel_values: pixelsOf(...rows.map(({ pixel_values }) => pixel_values.data as Float32Array)),
      num_frames: frameTensor([3, 2]),
      max_new_tokens: 6,
      do_sample: false,
      eos_token_id: 99_999,
    })) as Tensor
    expect(idsAfter(output, width)).toEqual(alone)
  })

  it('streams, samples with a seedless temperature of almost 0 as greedily, and stops when interrupted', async () => {
    const expected = await newTokens(inputs)
    const seen: number[] = []
    const streamer = new TextStreamer(loaded.tokenizer, {
      skip_prompt: true,
      callback_function: () => undefined,
      token_callback_function: (tokens: bigint[]) => seen.push(...tokens.map(Number)),
    })
    expect(await newTokens(inputs, { streamer, do_sample: true, temperature: 1e-6 })).toEqual(expected)
    expect(seen).toEqual(expected)
    const stopping_criteria = new InterruptableStoppingCriteria()
    const interrupting = new TextStreamer(loaded.tokenizer, {
      callback_function: () => undefined,
      token_callback_function: () => stopping_criteria.interrupt(),
    })
    expect(await newTokens(inputs, { streamer: interrupting, stopping_criteria })).toEqual(expected.slice(0, 1))
  })

  it('methods that read the question find it behind the video', async () => {
    const about = async (text: string) => {
      const events: SelectionEvent[] = []
      const pruning = {
        method: 'hiprune++',
        keep: 16,
        beta: 0.5,
        onSelection: (event: SelectionEvent) => events.push(event),
      }
      await newTokens(await process(clip(2), `<video>\n${text}`), { pruning })
      return events[0]!.images.map(({ selection }) => String(selection.kept))
    }
    expect(await about('who is it ?')).not.toEqual(await about('99 red 8s'))
  })

  it('unprune restores the model', () => {
    unprune(loaded.model)
    expect(Object.getOwnPropertyNames(loaded.model)).not.toContain('forward')
  })
})
