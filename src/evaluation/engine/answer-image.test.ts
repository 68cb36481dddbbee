import { readFileSync } from 'node:fs'
import { RawImage } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { repository } from '../../../test/cli.js'
import { oracleRoot } from '../../../test/golden.js'
import { ask, loadPruned, type PrunedModel } from '../../index.js'
import { readImage } from '../../node.js'
import { ALL_TOKENS, cellsOf, parseVariants, type Cell } from '../variants.js'
import { answerImage, type ImageAnswers, type ImageQuestion } from './answer-image.js'
import { openEngine, type Engine } from './engine.js'
import { seedOf } from './picture.js'

// The plain path asks every question anew: seconds on an idle machine.
vi.setConfig({ testTimeout: 600_000 })

const demo = `${repository}demo-vlm`
const rows = readFileSync(`${demo}/benchmark/questions.jsonl`, 'utf8')
  .split('\n', 60)
  .map((line) => JSON.parse(line) as { image: string; question: string })
const questionsOf = (image: string): ImageQuestion[] =>
  rows.filter((row) => row.image === image).map(({ question }) => ({ prompt: question, question }))

/** The answers of the plain path: one question, one method, one budget at a time, each with its own run of the encoder. */
async function askedAlone(
  loaded: PrunedModel,
  engine: Engine,
  image: RawImage,
  imageIndex: number,
  questions: readonly ImageQuestion[],
  cells: readonly Cell[],
  max_new_tokens: number,
): Promise<Pick<ImageAnswers, 'answers' | 'kept'>> {
  const answers: Record<string, string[]> = {}
  const kept: Record<string, number> = {}
  for (const cell of [undefined, ...cells]) {
    const key = cell?.key ?? ALL_TOKENS
    const options = cell
      ? { ...cell.variant.options, method: cell.variant.method, keep: cell.budget }
      : { method: 'none' as const }
    const seed = cell?.variant.method === 'random' ? { seed: seedOf(engine, cell.variant, imageIndex) } : {}
    const all = []
    for (const { prompt, question } of questions)
      all.push(await ask(loaded, [image], prompt, { ...options, ...seed, question, max_new_tokens }))
    answers[key] = all.map(({ text }) => text)
    kept[key] = all.reduce((sum, { keptTokens }) => sum + keptTokens, 0) / all.length
  }
  return { answers, kept }
}

describe('the embedded model', () => {
  let loaded: PrunedModel
  beforeAll(async () => {
    loaded = await loadPruned(demo)
  })
  afterAll(() => loaded.model.dispose() as Promise<never>)

  it('answers every method as it does one question at a time, from one run of the encoder', async () => {
    const variants = parseVariants('all')
    const engine = await openEngine(demo, variants, { seed: 5 })
    const { session } = engine.encoder
    const run = session.run.bind(session)
    let runs = 0
    session.run = (feeds) => {
      runs++
      return run(feeds)
    }
    const image = await readImage(`${demo}/benchmark/images/000.jpg`)
    const questions = questionsOf('images/000.jpg').slice(0, 6)
    const cells = cellsOf(variants, ['1/9'])
    const together = await answerImage(engine, image, 7, questions, cells)
    expect(runs).toBe(1)
    const alone = await askedAlone(loaded, engine, image, 7, questions, cells, 64)
    expect(together.answers).toEqual(alone.answers)
    expect(together.kept).toEqual(alone.kept)
    // Not all the same answers, or the comparison would show nothing.
    expect(new Set(Object.values(together.answers).map((texts) => texts.join('|'))).size).toBeGreaterThan(3)
    await engine.dispose()
  })

  it("takes 'auto' and downscale, small batches, and answers that stop at the longest length", async () => {
    const variants = parseVariants('hiprune,hiprune++,visionzip,downscale')
    const engine = await openEngine(demo, variants, { batch: 3, max_new_tokens: 3 })
    const image = await readImage(`${demo}/benchmark/images/002.jpg`)
    const questions = questionsOf('images/002.jpg').slice(0, 5)
    const cells = cellsOf(variants.slice(0, 3), ['auto'])
    const together = await answerImage(engine, image, 0, questions, cells)
    const alone = await askedAlone(loaded, engine, image, 0, questions, cells, 3)
    expect(together).toMatchObject(alone)
    const [downscaled] = cellsOf(variants.slice(3), ['auto']) as [Cell]
    const pooled = await answerImage(engine, image, 0, questions.slice(0, 2), [downscaled])
    expect(pooled.kept[downscaled.key]).toBe(together.kept['hiprune@auto'])
    await engine.dispose()
  })

  it('reads other layers, and the attention of CLS instead of all queries', async () => {
    const text = 'hiprune:objectLayer=2:alpha=0.5,hiprune:attention=cls:alpha=0,cls-attention,cls-attention:deepLayer=3'
    const variants = parseVariants(text)
    const engine = await openEngine(demo, variants)
    const image = await readImage(`${demo}/benchmark/images/000.jpg`)
    const questions = questionsOf('images/000.jpg').slice(0, 3)
    const cells = cellsOf(variants, ['2/9'])
    const kept = new Map<string, string>()
    const { answers } = await answerImage(engine, image, 0, questions, cells, (cell, { images }) =>
      kept.set(cell?.variant.label ?? ALL_TOKENS, images[0]!.selection.kept.join()),
    )
    const [layer2, clsRegisters, cls, cls3] = variants.map(({ label }) => kept.get(label))
    expect(clsRegisters).toBe(cls)
    expect(cls3).not.toBe(cls)
    expect(layer2).not.toBe(cls)

    const early = await loadPruned(demo, { objectLayer: 2 })
    const alone = await askedAlone(early, engine, image, 0, questions, cells.slice(0, 1), 64)
    expect(answers).toMatchObject(alone.answers)
    await early.model.dispose()
    await engine.dispose()
  })

  it('refuses layers that the encoder does not have', async () => {
    await expect(openEngine(demo, parseVariants('hiprune:objectLayer=99'))).rejects.toThrow(/99/)
    await expect(openEngine(demo, parseVariants('hiprune:objectLayer=4:deepLayer=2'))).rejects.toThrow(
      /^objectLayer: got 4, allowed: a layer up to the deep layer, 2/,
    )
  })
})

describe.each(['tiny-qwen2.5-vl', 'tiny-llava-next'])('%s', (name) => {
  it('answers as it does one question at a time', async () => {
    const folder = `${oracleRoot}models/${name}`
    const variants = parseVariants('hiprune,hiprune++,grid,pool,downscale')
    const engine = await openEngine(folder, variants, { max_new_tokens: 5 })
    const loaded = await loadPruned(folder)
    const pixels = Uint8ClampedArray.from({ length: 150 * 110 * 3 }, (_, i) => (i * 37 + (i >> 7) * 11) % 256)
    const image = new RawImage(pixels, 150, 110, 3)
    const words = ['What is it?', 'What is there?', 'Which colour has the second object from the left?']
    const questions = words.map((question) => ({ prompt: `${question}\nAnswer briefly.`, question }))
    const cells = cellsOf(variants, ['1/3'])
    const together = await answerImage(engine, image, 0, questions, cells)
    expect(together).toMatchObject(await askedAlone(loaded, engine, image, 0, questions, cells, 5))
    await engine.dispose()
    await loaded.model.dispose()
  })
})
