import { fileURLToPath } from 'node:url'
import { AutoModelForImageTextToText, DynamicCache, RawImage, Tensor } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { greedy, idsAfter, lastLogits, maxDifference, promptOf, type AnyModel } from '../../test/tiny-llava.js'
import { trueLength } from '../generation/virtual-cache.js'
import { ask, loadPruned, tapModel, unprune, withPruning, type PrunedModel, type SelectionEvent } from '../index.js'

/** training/fixtures/make_idefics3.py. */
const folder = fileURLToPath(new URL('../../test/fixtures/tiny-smolvlm', import.meta.url))
const TOKENS = 16
const pattern = (tiles: number, factor = 37) =>
  new Tensor(
    'float32',
    Float32Array.from({ length: tiles * 3 * 64 * 64 }, (_, i) => ((i * factor) % 256) / 127.5 - 1),
    [1, tiles, 3, 64, 64],
  )
const run = (tile: number) => [40 + tile, ...Array<number>(TOKENS).fill(4), 60]
const conversation = (tiles: number) => [
  1,
  70,
  ...Array.from({ length: tiles }, (_, tile) => run(tile)).flat(),
  71,
  72,
  73,
]

let model: AnyModel
let loaded: PrunedModel
beforeAll(async () => {
  loaded = await loadPruned(folder, { keep: '1/2', dtype: 'fp32' })
  model = loaded.model as unknown as AnyModel
})
afterAll(() => model.dispose())

describe('SmolVLM', () => {
  it('keep-all equals the unpruned model', async () => {
    const plain = (await AutoModelForImageTextToText.from_pretrained(folder, { dtype: 'fp32' })) as unknown as AnyModel
    const inputs = { ...promptOf(conversation(3)), pixel_values: pattern(3) }
    const expected = [await greedy(plain, inputs), await lastLogits(plain, inputs)] as const
    const same = { pruning: { method: 'none' } }
    expect(await greedy(model, inputs, same)).toEqual(expected[0])
    expect(maxDifference(await lastLogits(model, { ...inputs, ...same }), expected[1])).toBe(0)
    await tapModel(plain, folder)
    withPruning(plain, { keep: '1/2' })
    expect(await greedy(plain, inputs)).toEqual(await greedy(model, inputs))
    await plain.dispose()
  })

  it('divides a count evenly among tiles, each keeping at least one token', async () => {
    const events: SelectionEvent[] = []
    const onSelection = (event: SelectionEvent) => events.push(event)
    const inputs = { ...promptOf(conversation(3)), pixel_values: pattern(3) }
    for (const keep of [20, '1/2', 2] as const) await greedy(model, inputs, { pruning: { keep, onSelection } })
    const sizes = events.map(({ images }) => images.map(({ selection }) => selection.kept.length))
    expect(sizes).toEqual([[6, 6, 6], [8, 8, 8], [1, 1, 1]]) // prettier-ignore
  })

  it('K tokens reach the KV cache; a later turn with its own tiles equals the conversation from scratch', async () => {
    const generate = async (inputs: object, options: object) =>
      (await model.generate({ ...inputs, max_new_tokens: 5, do_sample: false, eos_token_id: 99_999, ...options })) as {
        sequences: Tensor
        past_key_values: DynamicCache
      }
    const first = await generate(
      { ...promptOf(conversation(2)), pixel_values: pattern(2) },
      { return_dict_in_generate: true },
    )
    expect(trueLength(first.past_key_values)).toBe(conversation(2).length - 16 + 4)
    const ids = [...idsAfter(first.sequences, 0)[0]!, 80, ...run(7), 81]
    const pixels = new Tensor('float32', [...pattern(2).data, ...pattern(1, 91).data] as never, [1, 3, 3, 64, 64])
    const inputs = { ...promptOf(ids), pixel_values: pixels }
    const cached = await generate(inputs, { past_key_values: first.past_key_values, return_dict_in_generate: true })
    expect(idsAfter(cached.sequences, ids.length)[0]).toEqual(await greedy(model, inputs, { max_new_tokens: 5 }))
  })

  it('a batch with different numbers of tiles equals its rows one by one', async () => {
    const rows = [conversation(3), conversation(1)]
    const alone = [
      await greedy(model, { ...promptOf(rows[0]!), pixel_values: pattern(3) }),
      await greedy(model, { ...promptOf(rows[1]!), pixel_values: pattern(1, 91) }),
    ]
    const width = rows[0]!.length
    const fill = (row: number[], value: number) => [...Array<number>(width - row.length).fill(value), ...row]
    const batch = (values: number[][]) => new Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [2, width])
    const pixels = new Float32Array(2 * 3 * 3 * 64 * 64)
    pixels.set(pattern(3).data as Float32Array)
    pixels.set(pattern(1, 91).data as Float32Array, 3 * 3 * 64 * 64)
    const output = (await model.generate({
      input_ids: batch(rows.map((row) => fill(row, 3))),
      attention_mask: batch(
        rows.map((row) =>
          fill(
            row.map(() => 1),
            0,
          ),
        ),
      ),
      pixel_values: new Tensor('float32', pixels, [2, 3, 3, 64, 64]),
      max_new_tokens: 8,
      do_sample: false,
      eos_token_id: 99_999,
    })) as Tensor
    expect(idsAfter(output, width)).toEqual(alone)
  })

  it("answers about a picture through ask(), tiled by the library's own processor", async () => {
    const image = new RawImage(
      Uint8ClampedArray.from({ length: 200 * 100 * 3 }, (_, i) => (i * 7) % 256),
      200,
      100,
      3,
    )
    const answer = await ask(loaded, [image], 'What is it?', { max_new_tokens: 3 })
    expect(answer.images.length).toBeGreaterThan(2)
    expect(answer.visualTokens).toBe(answer.images.length * TOKENS)
    expect(answer.keptTokens).toBe(answer.visualTokens / 2)
    unprune(loaded.model)
  })
})
