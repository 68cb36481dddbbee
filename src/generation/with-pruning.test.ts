import {
  DynamicCache,
  InterruptableStoppingCriteria,
  RawImage,
  TextStreamer,
  type Tensor,
} from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  greedy,
  idsAfter,
  lastLogits,
  loadTiny,
  maxDifference,
  promptOf,
  type ModelInputs,
} from '../../test/tiny-llava.js'
import { tapModel, unprune, withPruning, type SelectionEvent, type StageEvent } from '../index.js'
import { trueLength } from './virtual-cache.js'

describe.each(['llava', 'llava_onevision'] as const)('%s against the golden runs', (name) => {
  const loading = loadTiny(name)
  afterAll(async () => (await loading).model.dispose())

  it('unpruned equals the reference', async () => {
    const { model, inputs, sample } = await loading
    expect(await greedy(model, inputs)).toEqual(sample.full.greedy_tokens)
    expect(maxDifference(await lastLogits(model, inputs), sample.full.last_token_logits)).toBeLessThan(1e-4)
  })

  it('keep-all equals unpruned, token for token and in its logits', async () => {
    const { model, inputs, sample } = await loading
    const unprunedLogits = await lastLogits(model, inputs)
    withPruning(model, { method: 'none' })
    expect(await greedy(model, inputs)).toEqual(sample.full.greedy_tokens)
    expect(maxDifference(await lastLogits(model, inputs), unprunedLogits)).toBe(0)
    unprune(model)
  })

  it('every pruned run equals the reference: kept tokens, logits within 1e-4, greedy tokens', async () => {
    const { sample } = await loading
    for (const golden of sample.pruned) {
      const { model, inputs } = await loadTiny(name, golden.object_layer)
      const selections: SelectionEvent[] = []
      withPruning(model, {
        keep: golden.retention,
        alpha: golden.alpha,
        borders: 'clamp',
        onSelection: (event) => selections.push(event),
      })
      expect(await greedy(model, inputs)).toEqual(golden.greedy_tokens)
      expect([...selections[0]!.images[0]!.selection.kept]).toEqual(golden.kept)
      expect(maxDifference(await lastLogits(model, inputs), golden.last_token_logits)).toBeLessThan(1e-4)
      await model.dispose()
    }
    expect(sample.pruned.length).toBeGreaterThanOrEqual(3)
  })
})

describe('a pruning model', () => {
  let tiny: Awaited<ReturnType<typeof loadTiny>>
  let other: RawImage
  beforeAll(async () => {
    tiny = await loadTiny('llava', 4)
    const pixels = Uint8ClampedArray.from({ length: 112 * 112 * 3 }, (_, i) => (i * 37 + (i >> 7) * 11) % 256)
    other = new RawImage(pixels, 112, 112, 3)
  })
  afterAll(() => tiny.model.dispose())

  const answers = async (inputs: ModelInputs, options: object) => {
    const output = await tiny.model.generate({
      ...inputs,
      max_new_tokens: 6,
      do_sample: false,
      eos_token_id: 99_999,
      ...options,
    })
    return output as { sequences: Tensor; past_key_values: DynamicCache }
  }
  /** What the decoder computes for a whole conversation at once, without any cache. */
  const fromScratch = async (inputs: ModelInputs, ids: number[]) => {
    return await greedy(tiny.model, { ...inputs, ...promptOf(ids) }, { max_new_tokens: 6 })
  }

  it("takes the library's own processor", async () => {
    const { input_ids } = await tiny.processor(tiny.image, tiny.sample.prompt)
    expect(Array.from(input_ids.data as BigInt64Array, Number)).toEqual(tiny.sample.input_ids)
  })

  it('puts exactly K visual tokens into the KV cache', async () => {
    withPruning(tiny.model, { keep: 21 })
    const text = tiny.inputs.input_ids.dims[1]! - 64
    const { past_key_values } = await answers(tiny.inputs, { return_dict_in_generate: true })
    expect(trueLength(past_key_values)).toBe(text + 21 + 5)
    expect(past_key_values.get_seq_length()).toBe(text + 64 + 5)
  })

  it('answers several turns on one KV cache as from scratch, text only and with another image', async () => {
    withPruning(tiny.model, { keep: '1/3' })
    const first = await answers(tiny.inputs, { return_dict_in_generate: true })
    let conversation = idsAfter(first.sequences, 0)[0]!
    let cache = first.past_key_values

    for (const withImage of [false, true, false]) {
      const image = withImage ? Array<number>(64).fill(4) : []
      conversation = [...conversation, 200, 201, ...image, 202, 203]
      const images = conversation.filter((id) => id === 4).length / 64
      const pixel_values =
        images === 1
          ? tiny.inputs.pixel_values
          : (await tiny.processor([tiny.image, other], tiny.sample.prompt)).pixel_values
      const inputs = { ...promptOf(conversation), pixel_values }
      const turn = await answers(inputs, { past_key_values: cache, return_dict_in_generate: true })
      const answer = idsAfter(turn.sequences, conversation.length)[0]!
      expect(answer).toEqual(await fromScratch(inputs, conversation))
      conversation = [...conversation, ...answer]
      cache = turn.past_key_values
    }
  })

  it('answers a batch whose rows keep different tokens, and different numbers of them, as one by one', async () => {
    withPruning(tiny.model, { keep: 'auto' })
    const singles: number[][] = []
    const lengths = new Set<number>()
    const onSelection = ({ images }: SelectionEvent) =>
      images.forEach(({ selection }) => lengths.add(selection.kept.length))
    for (const image of [tiny.image, other]) {
      singles.push(
        await greedy(tiny.model, await tiny.processor(image, tiny.sample.prompt), { pruning: { onSelection } }),
      )
    }
    const batch = await tiny.processor([tiny.image, other], [tiny.sample.prompt, tiny.sample.prompt])
    const output = (await tiny.model.generate({
      ...batch,
      max_new_tokens: 8,
      do_sample: false,
      eos_token_id: 99_999,
    })) as Tensor
    expect(idsAfter(output, batch.input_ids.dims[1]!)).toEqual(singles)
    expect(singles[0]).not.toEqual(singles[1])
    expect(lengths.size).toBe(2)
  })

  it('answers about two images in one prompt, each with its own budget', async () => {
    withPruning(tiny.model, { keep: 10 })
    const { pixel_values } = await tiny.processor([tiny.image, other], tiny.sample.prompt)
    const events: SelectionEvent[] = []
    const ids = [...tiny.sample.input_ids, 300, ...Array<number>(64).fill(4), 301]
    withPruning(tiny.model, { keep: 10, onSelection: (event) => events.push(event) })
    await fromScratch({ ...tiny.inputs, pixel_values }, ids)
    expect(events).toHaveLength(1)
    expect(events[0]!.images.map(({ selection }) => selection.kept.length)).toEqual([10, 10])
    expect([...events[0]!.images[0]!.selection.kept]).not.toEqual([...events[0]!.images[1]!.selection.kept])
  })

  it('runs two generate() calls at once as one after the other', async () => {
    withPruning(tiny.model, { keep: 12 })
    const inputs = [tiny.inputs, await tiny.processor(other, tiny.sample.prompt)]
    const alone = [await greedy(tiny.model, inputs[0]!), await greedy(tiny.model, inputs[1]!)]
    const together = await Promise.all(inputs.map((one) => greedy(tiny.model, one)))
    expect(together).toEqual(alone)
    expect(alone[0]).not.toEqual(alone[1])
  })

  it('streams, stops when interrupted, and reports its stages', async () => {
    const stages: StageEvent[] = []
    withPruning(tiny.model, { keep: 21, onStage: (event) => stages.push(event) })
    const tokenizer = (tiny.processor as unknown as { tokenizer: never }).tokenizer
    const ids: bigint[] = []
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: () => undefined,
      token_callback_function: (tokens: bigint[]) => ids.push(...tokens),
    })
    const expected = await greedy(tiny.model, tiny.inputs, { streamer })
    expect(ids.map(Number)).toEqual(expected)
    expect(stages.map(({ stage }) => stage)).toEqual([
      'encode',
      'select',
      'prefill',
      ...Array<string>(7).fill('decode'),
    ])
    expect(stages[2]!.tokens).toBe(tiny.inputs.input_ids.dims[1]! - 64 + 21)

    const stopping_criteria = new InterruptableStoppingCriteria()
    const interrupting = new TextStreamer(tokenizer, {
      callback_function: () => undefined,
      token_callback_function: () => stopping_criteria.interrupt(),
    })
    expect(await greedy(tiny.model, tiny.inputs, { streamer: interrupting, stopping_criteria })).toEqual(
      expected.slice(0, 1),
    )
  })

  it('lets one call choose its own budget and method', async () => {
    withPruning(tiny.model, { keep: 21 })
    const own = await greedy(tiny.model, tiny.inputs, { pruning: { keep: 8, method: 'grid' } })
    const usual = await greedy(tiny.model, tiny.inputs)
    withPruning(tiny.model, { keep: 8, method: 'grid' })
    expect(await greedy(tiny.model, tiny.inputs)).toEqual(own)
    expect(own).not.toEqual(usual)
    await expect(greedy(tiny.model, tiny.inputs, { pruning: { keep: 0 } })).rejects.toThrow(/^budget: got 0/)
  })

  it('does not touch the inputs of a direct call, so that they can be used again', async () => {
    withPruning(tiny.model, { keep: 21 })
    const inputs = { ...tiny.inputs }
    const once = await lastLogits(tiny.model, inputs)
    expect(inputs).toEqual(tiny.inputs)
    expect(await lastLogits(tiny.model, inputs)).toEqual(once)
  })

  it('unprune restores the model, twice as well as once', async () => {
    const before = Object.getOwnPropertyNames(tiny.model).filter((name) => name !== 'sessions')
    unprune(tiny.model)
    unprune(tiny.model)
    expect(await greedy(tiny.model, tiny.inputs)).toEqual(tiny.sample.full.greedy_tokens)
    const after = Object.getOwnPropertyNames(tiny.model)
    expect(before.filter((name) => !after.includes(name))).toEqual(['forward', 'prepare_inputs_for_generation'])
    expect((tiny.model as unknown as { forward_params: string[] }).forward_params).not.toContain('pruning')
  })

  it('leaves a model that prunes as it is when new options are refused', async () => {
    withPruning(tiny.model, { keep: 8 })
    const before = await greedy(tiny.model, tiny.inputs)
    expect(() => withPruning(tiny.model, { keep: 0 })).toThrow(/^budget/)
    expect(await greedy(tiny.model, tiny.inputs)).toEqual(before)
  })

  it('says what does not fit', async () => {
    withPruning(tiny.model, { keep: 21 })
    const short = tiny.sample.input_ids.filter((_, i) => i !== 10)
    await expect(fromScratch(tiny.inputs, short)).rejects.toThrow(
      /^the prompt has 63 image placeholders, but its images make 64 visual tokens/,
    )
    const plain = await loadTiny('llava')
    withPruning(plain.model, { keep: 21 })
    await expect(greedy(plain.model, plain.inputs)).rejects.toThrow(/needs objectScores.*loadPruned\(\)/)
    await expect(tapModel(plain.model, plain.folder, { objectLayer: 12 })).rejects.toThrow(
      /^objectLayer: got 12, allowed: an integer from 1 to 11/,
    )
    await tapModel(plain.model, plain.folder)
    expect(await greedy(plain.model, plain.inputs)).toEqual(await greedy(tiny.model, tiny.inputs))
    await plain.model.dispose()
    expect(() => withPruning(tiny.model, { alpha: 2 })).toThrow(/^alpha/)
    expect(() => withPruning({ config: { model_type: 'florence2' } })).toThrow(/DaViT/)
    expect(() => withPruning({ config: { model_type: 'bert' } })).toThrow(/"bert" cannot be pruned: it has no adapter/)
  })
})
