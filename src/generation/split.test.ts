import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { greedy, promptOf, type AnyModel } from '../../test/tiny-llava.js'
import { pattern } from '../../test/families.js'
import { Tensor } from '@huggingface/transformers'
import { complexityOf, loadPruned, type SelectionEvent, type StageEvent } from '../index.js'
import { adapterFor, type ModelInputs, type VisionLanguageModel } from '../models/index.js'
import { encodeImages } from './encode-images.js'

/** Two videos of the tiny Video-LLaVA, of three frames and of two; the second one's frames are almost empty. */
const folder = fileURLToPath(new URL('../../test/fixtures/tiny-video-llava', import.meta.url))
const SIZE = 3 * 42 * 42
const frames = [0, 1, 2, 3, 4].map((seed) =>
  seed < 3 ? pattern(seed, SIZE) : Float32Array.from({ length: SIZE }, (_, i) => (i < 300 * (seed - 2) ? 1 : -1)),
)
const ids = [1, 70, ...Array<number>(3 * 37).fill(5), 80, ...Array<number>(2 * 37).fill(5), 90, 91]
const inputs = {
  ...promptOf(ids),
  pixel_values: new Tensor('float32', frames.flatMap((frame) => [...frame]) as never, [5, 3, 42, 42]),
  num_frames: new Tensor('int64', BigInt64Array.of(3n, 2n), [2]),
}

let model: AnyModel
let complexities: number[]
beforeAll(async () => {
  model = (await loadPruned(folder, { dtype: 'fp32' })).model as unknown as AnyModel
  const vlm = model as unknown as VisionLanguageModel
  const adapter = adapterFor(vlm.config)
  const given = inputs as unknown as ModelInputs
  const runs = adapter.encoderRuns!(vlm.config, given)
  const { images } = await encodeImages(vlm, given, adapter.grids(vlm.config, given), runs)
  complexities = images.map(({ deepScores }) => complexityOf(deepScores))
})
afterAll(() => model.dispose())

/** Tokens kept of each of the five frames, and how many tokens the decoder got. */
async function counts(pruning: object): Promise<{ kept: number[]; prefilled: number }> {
  let kept: number[] = []
  let prefilled = 0
  const onSelection = ({ images }: SelectionEvent) => void (kept = images.map(({ selection }) => selection.kept.length))
  const onStage = ({ stage, tokens }: StageEvent) => void (stage === 'prefill' && (prefilled = tokens))
  await greedy(model, inputs, { max_new_tokens: 2, pruning: { ...pruning, onSelection, onStage } })
  return { kept, prefilled }
}
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

describe('how frames divide a budget', () => {
  it('evenly by default: floor(K / frames) of each video', async () => {
    expect((await counts({ keep: 20 })).kept).toEqual([6, 6, 6, 10, 10])
  })

  it("'complexity': K of each video exactly, more for busier frames", async () => {
    const { kept, prefilled } = await counts({ keep: 20, split: 'complexity' })
    expect([sum(kept.slice(0, 3)), sum(kept.slice(3))]).toEqual([20, 20])
    // Text, one CLS a frame, and 2 K.
    expect(prefilled).toBe(ids.length - 5 * 37 + 5 + 40)
    for (const group of [[0, 1, 2], [3, 4]]) // prettier-ignore
      for (const a of group) for (const b of group) if (complexities[a]! > complexities[b]!) expect(kept[a]).toBeGreaterThanOrEqual(kept[b]!) // prettier-ignore
  })

  it("'shared': both videos' K together, divided among all frames", async () => {
    const { kept } = await counts({ keep: 20, split: 'shared' })
    expect(sum(kept)).toBe(40)
    kept.forEach((count) => expect(count).toBeGreaterThanOrEqual(1))
    expect(new Set(complexities).size).toBeGreaterThan(2)
    const most = complexities.indexOf(Math.max(...complexities))
    expect(kept[most]).toBe(Math.max(...kept))
  })

  it("'auto': the sum of what the frames want, between a ninth and a half of a video", async () => {
    const { kept } = await counts({ keep: 'auto' })
    for (const [from, to] of [
      [0, 3],
      [3, 5],
    ] as const) {
      // prettier-ignore
      const [wanted, tokens] = [sum(complexities.slice(from, to)), (to - from) * 36]
      expect(sum(kept.slice(from, to))).toBe(Math.min(Math.max(wanted, Math.round(tokens / 9)), tokens / 2))
    }
    const even = await counts({ keep: 'auto', split: 'even' })
    expect(new Set(even.kept.slice(0, 3)).size).toBe(1)
  })

  it('one token of each frame stays, however small the budget', async () => {
    for (const split of ['even', 'complexity', 'shared'])
      expect((await counts({ keep: 1, split })).kept).toEqual([1, 1, 1, 1, 1])
  })

  it('refuses another split before anything runs', async () => {
    await expect(counts({ split: 'fair' })).rejects.toThrow(/^split: got "fair", allowed: 'even', 'complexity'/)
  })
})
