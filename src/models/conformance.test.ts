import {
  AutoModelForImageTextToText,
  InterruptableStoppingCriteria,
  TextStreamer,
  type DynamicCache,
  type PreTrainedTokenizer,
  type Tensor,
} from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { families, familyGolden, type FamilyGolden } from '../../test/families.js'
import { greedy, idsAfter, lastLogits, maxDifference, promptsOf, type AnyModel } from '../../test/tiny-llava.js'
import { encodeImages } from '../generation/encode-images.js'
import { trueLength } from '../generation/virtual-cache.js'
import { loadPruned, type SelectionEvent } from '../index.js'
import { adapterFor } from './registry.js'
import type { ModelInputs, VisionLanguageModel } from './transformers.js'

/** Pictures in the order of a conversation: the suite asks about the first, then about the others. */
const [FIRST, SECOND] = [0, 1]
const KEEP = 5
const NEW_TOKENS = 6

describe.each(families)('$name', (family) => {
  const folder = family.folder()
  let tokenizer: PreTrainedTokenizer
  let model: AnyModel
  let plain: AnyModel | undefined
  beforeAll(async () => {
    if (family.noPlainModel === undefined) plain = await loadPlain()
    const loaded = await loadPruned(folder, { keep: '1/3', dtype: 'fp32' })
    model = loaded.model as unknown as AnyModel
    tokenizer = loaded.tokenizer
  })
  afterAll(async () => {
    await model.dispose()
    await plain?.dispose()
  })

  const loadPlain = async () =>
    (await AutoModelForImageTextToText.from_pretrained(folder, { dtype: 'fp32' })) as unknown as AnyModel
  const unpruned = { pruning: { method: 'none' } }
  const isPlaceholder = (id: number) => id === family.imageToken
  const visualTokens = (seed: number) => family.imageIds(seed).filter(isPlaceholder).length
  const numTiles = (seed: number) => family.tiles?.(seed) ?? 1
  const question = (length = 3) => Array.from({ length }, (_, i) => 70 + ((i * 7) % 40))
  const conversation = (seeds: readonly number[], text = question()) => [
    1,
    ...question(2),
    ...seeds.flatMap((seed) => [...family.imageIds(seed), 65]),
    ...text,
  ]
  /** Prompts with their pictures, left-padded to a batch. */
  const inputsOf = (rows: readonly (readonly number[])[], seeds: readonly (readonly number[])[]) => {
    return { ...promptsOf(rows, family.padToken), ...family.pixels(seeds) } as ModelInputs & { pixel_values: Tensor }
  }
  const about = (...seeds: number[]) => inputsOf([conversation(seeds)], [seeds])
  const newTokens = (inputs: ModelInputs, options: object = {}, by: AnyModel = model) =>
    greedy(by, inputs as never, { max_new_tokens: NEW_TOKENS, ...options })
  const turn = async (inputs: object, options: object = {}) =>
    (await model.generate({
      ...inputs,
      max_new_tokens: NEW_TOKENS,
      do_sample: false,
      eos_token_id: 99_999,
      return_dict_in_generate: true,
      ...options,
    })) as { sequences: Tensor; past_key_values: DynamicCache }
  const keptOf = (events: readonly SelectionEvent[]) =>
    events.flatMap(({ images }) => images.map(({ selection }) => [...selection.kept]))

  it('keep-all equals the unpruned model, token for token and in its logits', async (context) => {
    if (!plain) return context.skip(family.noPlainModel)
    const inputs = about(FIRST)
    const expected = await newTokens(inputs, {}, plain)
    expect(await newTokens(inputs, unpruned)).toEqual(expected)
    const logits = await lastLogits(plain, inputs)
    expect(maxDifference(await lastLogits(model, { ...inputs, ...unpruned }), logits)).toBe(0)
  })

  it('equals PyTorch: features, attention, unpruned and pruned answers, a second turn', async (context) => {
    const golden = familyGolden(folder)
    if (!golden) return context.skip('golden runs of this family stand in a test of its own')
    const inputs = inputsOf([golden.input_ids], [[FIRST]])
    const vlm = model as unknown as VisionLanguageModel
    const { images } = await encodeImages(vlm, inputs, adapterFor(vlm.config).grids(vlm.config, inputs))
    expect(maxDifference(images.flatMap(({ features }) => [...features]), golden.image_features)).toBeLessThan(1e-4) // prettier-ignore
    const deep = images.flatMap(({ deepScores }) => Array.from(deepScores!))
    expect(maxDifference(deep, golden.scores.at(-1)!)).toBeLessThan(5e-6)
    for (const run of golden.runs) await expectRun(inputs, golden, run)
    expect(golden.runs.length).toBeGreaterThan(1)
  })

  /** 'cls-attention' keeps the best K of the last layer's scores in encoders without CLS, as the golden runs do. */
  async function expectRun(inputs: ModelInputs, { input_ids }: FamilyGolden, run: FamilyGolden['runs'][number]) {
    const events: SelectionEvent[] = []
    const keep = run.keep === null ? {} : { keep: run.keep * run.kept!.length, method: 'cls-attention' }
    const pruning = { ...(run.keep === null ? { method: 'none' } : keep), onSelection: (e: SelectionEvent) => events.push(e) } // prettier-ignore
    const { sequences, past_key_values } = await turn(inputs, { pruning, max_new_tokens: run.greedy.length })
    expect(idsAfter(sequences, input_ids.length)[0]).toEqual(run.greedy)
    if (run.kept) expect(keptOf(events)).toEqual(run.kept)
    const logits = await lastLogits(model, { ...inputs, pruning })
    expect(maxDifference(logits, run.last_logits)).toBeLessThan(1e-4)
    const ids = [...idsAfter(sequences, 0)[0]!, ...run.second.ids]
    const next = await turn({ ...inputs, ...promptsOf([ids], family.padToken) }, { past_key_values, pruning, max_new_tokens: run.second.greedy.length }) // prettier-ignore
    expect(idsAfter(next.sequences, ids.length)[0]).toEqual(run.second.greedy)
  }

  it('K tokens really reach the decoder', async () => {
    const tiles = numTiles(FIRST)
    const { past_key_values } = await turn(about(FIRST), { pruning: { keep: KEEP * tiles } })
    const length = conversation([FIRST]).length + NEW_TOKENS - 1
    expect(past_key_values.get_seq_length()).toBe(length)
    // Placeholders that stand for no token (newlines) stay.
    const separators = visualTokens(FIRST) - countTokens(FIRST)
    expect(trueLength(past_key_values)).toBe(length - visualTokens(FIRST) + separators + KEEP * tiles)
  })

  const countTokens = (seed: number) => {
    const vlm = model as unknown as VisionLanguageModel
    const grids = adapterFor(vlm.config).grids(vlm.config, about(seed))
    return grids.reduce((sum, { rows, columns }) => sum + rows * columns, 0)
  }

  it('answers several turns on one KV cache as from scratch: text only, and another picture', async (context) => {
    if (family.bidirectional) return context.skip('a prompt attends both ways: the golden runs hold a second turn')
    const first = await turn(about(FIRST))
    let ids = idsAfter(first.sequences, 0)[0]!
    let cache = first.past_key_values
    let seeds = [FIRST]
    for (const withPicture of [false, true, false]) {
      ids = [...ids, 66, ...(withPicture ? family.imageIds(SECOND) : []), ...question()]
      if (withPicture) seeds = [FIRST, SECOND]
      const inputs = inputsOf([ids], [seeds])
      const next = await turn(inputs, { past_key_values: cache })
      const answer = idsAfter(next.sequences, ids.length)[0]!
      expect(answer).toEqual(await newTokens(inputs))
      ids = [...ids, ...answer]
      cache = next.past_key_values
    }
    expect(cache.get_seq_length()).toBe(ids.length - 1)
    expect(trueLength(cache)).toBeLessThan(ids.length - 1 - visualTokens(FIRST) / 3)
  })

  it('takes several pictures in one prompt, each with tokens of its own', async () => {
    const events: SelectionEvent[] = []
    const tiles = numTiles(FIRST) + numTiles(SECOND)
    const onSelection = (event: SelectionEvent) => events.push(event)
    await newTokens(about(FIRST, SECOND), { pruning: { keep: '1/4', onSelection } })
    const alone: SelectionEvent[] = []
    for (const seed of [FIRST, SECOND])
      await newTokens(about(seed), { pruning: { keep: '1/4', onSelection: (e: SelectionEvent) => alone.push(e) } })
    expect(keptOf(events)).toHaveLength(tiles)
    expect(keptOf(events)).toEqual(keptOf(alone))
    if (plain)
      expect(await newTokens(about(FIRST, SECOND), unpruned)).toEqual(await newTokens(about(FIRST, SECOND), {}, plain))
  })

  it('answers a batch whose rows keep different tokens as its rows one by one', async () => {
    const events: SelectionEvent[] = []
    const pruning = { keep: '1/3', onSelection: (event: SelectionEvent) => events.push(event) }
    const rows = [conversation([FIRST]), conversation([SECOND], question(5))]
    const alone = [await newTokens(inputsOf([rows[0]!], [[FIRST]])), await newTokens(inputsOf([rows[1]!], [[SECOND]]))]
    const { sequences } = await turn(inputsOf(rows, [[FIRST], [SECOND]]), { pruning })
    expect(idsAfter(sequences, Math.max(...rows.map(({ length }) => length)))).toEqual(alone)
    const kept = keptOf(events).map(String)
    expect(kept[0]).not.toEqual(kept.at(-1))
  })

  it('says that a batch cannot get new pictures beside those of earlier turns', async () => {
    const rows = [conversation([FIRST]), conversation([FIRST])]
    const { sequences, past_key_values } = await turn(inputsOf(rows, [[FIRST], [FIRST]]), { max_new_tokens: 2 })
    const ids = idsAfter(sequences, 0).map((row) => [...row, 66, ...family.imageIds(SECOND), ...question()])
    const pictures = [
      [FIRST, SECOND],
      [FIRST, SECOND],
    ]
    await expect(turn(inputsOf(ids, pictures), { past_key_values })).rejects.toThrow(
      /^a later turn with new images: got 2 conversations .*, allowed: one conversation at a time, or the new images only$/,
    )
  })

  it('refuses more pictures than the prompt has places for, as the library does', async () => {
    const inputs = inputsOf([conversation([FIRST])], [[SECOND, FIRST]])
    await expect(newTokens(inputs)).rejects.toThrow(/image placeholders, but its images make .* visual tokens/)
    if (plain) await expect(newTokens(inputs, {}, plain)).rejects.toThrow(/tokens/i)
  })

  it('answers a turn without a picture as the unpruned model', async () => {
    const inputs = promptsOf([[1, ...question(9)]], family.padToken)
    const expected = plain ? await newTokens(inputs, {}, plain) : await newTokens(inputs, unpruned)
    expect(await newTokens(inputs)).toEqual(expected)
  })

  it('takes a prompt that is longer than its picture', async () => {
    const ids = conversation([FIRST], question(visualTokens(FIRST) + 9))
    const inputs = inputsOf([ids], [[FIRST]])
    if (plain) expect(await newTokens(inputs, unpruned)).toEqual(await newTokens(inputs, {}, plain))
    const events: SelectionEvent[] = []
    const pruning = { keep: '1/4', onSelection: (event: SelectionEvent) => events.push(event) }
    const { past_key_values } = await turn(inputs, { pruning })
    const dropped = countTokens(FIRST) - keptOf(events).flat().length
    expect(dropped).toBeGreaterThan(countTokens(FIRST) / 2)
    expect(trueLength(past_key_values)).toBe(ids.length + NEW_TOKENS - 1 - dropped)
  })

  it('streams its answer, and stops when interrupted', async () => {
    const ids: number[] = []
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: () => undefined,
      token_callback_function: (tokens: bigint[]) => ids.push(...tokens.map(Number)),
    })
    const expected = await newTokens(about(FIRST), { streamer })
    expect(ids).toEqual(expected)
    expect(expected).toHaveLength(NEW_TOKENS)
    const stopping_criteria = new InterruptableStoppingCriteria()
    const interrupting = new TextStreamer(tokenizer, {
      callback_function: () => undefined,
      token_callback_function: () => stopping_criteria.interrupt(),
    })
    expect(await newTokens(about(FIRST), { streamer: interrupting, stopping_criteria })).toEqual(expected.slice(0, 1))
  })

  it('runs two calls at once as one after the other', async () => {
    const inputs = [about(FIRST), about(SECOND)]
    const alone = [await newTokens(inputs[0]!), await newTokens(inputs[1]!)]
    expect(await Promise.all(inputs.map((one) => newTokens(one)))).toEqual(alone)
  })
})
