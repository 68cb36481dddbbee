import type { RawImage } from '@huggingface/transformers'
import { objectTokens } from '../analysis/index.js'
import type { SelectionEvent } from '../generation/index.js'
import { seenRegion } from '../models/index.js'
import { answerImage } from './engine/answer-image.js'
import type { Engine } from './engine/engine.js'
import { timeImage, type FirstTokenTimes } from './engine/time-image.js'
import { overlapText } from './metrics/objects.js'
import type { PlannedAsk, PlannedImage } from './plan.js'
import { ALL_TOKENS, readsQuestion, type Cell } from './variants.js'

/** Everything that a run keeps of one picture: one line of its journal. */
export interface ImageRecord {
  readonly image: string
  readonly visualTokens: number
  /** By cell: visual tokens that the language model saw, mean over questions. */
  readonly kept: Readonly<Record<string, number>>
  /** By cell: one answer for each of the picture's questions; null where the cell has none. */
  readonly answers: Readonly<Record<string, readonly (string | null)[]>>
  readonly times?: Readonly<Record<string, FirstTokenTimes>>
}

/** Pictures with nothing but a mask still need a prompt around them. */
const NO_QUESTION = 'Describe the image.'

/**
 * Evaluates one picture: all its questions, with all tokens and in every cell.
 *
 * @param index Number of the picture in the run.
 * @param isTimed Whether to measure the time to the first token, too.
 */
export async function evaluateImage(
  engine: Engine,
  image: RawImage,
  index: number,
  { key, asks }: PlannedImage,
  cells: readonly Cell[],
  isTimed: boolean,
): Promise<ImageRecord> {
  const asked = asks.filter(({ maskOf }) => !maskOf).map(({ example }) => example)
  const questions = asked.length > 0 ? asked : [{ prompt: NO_QUESTION, question: NO_QUESTION }]
  const selections = new Map<string, SelectionEvent>()
  const result = await answerImage(engine, image, index, questions, cells, (cell, selection) => {
    if (!cell || !readsQuestion(cell.variant)) selections.set(cell?.key ?? ALL_TOKENS, selection)
  })
  const answers = Object.fromEntries(
    [ALL_TOKENS, ...cells.map(({ key }) => key)].map((cell) => {
      const texts = [...(result.answers[cell] ?? [])]
      const all = asks.map((ask) =>
        ask.maskOf ? overlapOf(engine, image, ask, selections.get(cell)) : (texts.shift() as string),
      )
      return [cell, all]
    }),
  )
  const [first] = questions as [(typeof questions)[number]]
  const times = isTimed ? { times: await timeImage(engine, image, index, first, cells) } : {}
  return { image: key, visualTokens: result.visualTokens, kept: result.kept, answers, ...times }
}

/** How the kept tokens lie on the picture's objects; null for tiles, and for methods that choose by the question. */
function overlapOf(
  { processor }: Engine,
  image: RawImage,
  { maskOf, example }: PlannedAsk,
  selection: SelectionEvent | undefined,
): string | null {
  const [tile, ...more] = selection?.images ?? []
  if (!tile || more.length > 0 || !maskOf) return null
  const onObject = objectTokens(maskOf(example), seenRegion(processor, image), tile.grid)
  const hit = tile.selection.kept.reduce((sum, token) => sum + (onObject[token] as number), 0)
  return overlapText({ hit, kept: tile.selection.kept.length, objects: onObject.reduce((a, b) => a + b, 0) })
}
