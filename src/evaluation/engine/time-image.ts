import { planOf } from '../../generation/options.js'
import { prunedForward } from '../../generation/pruned-forward.js'
import { ALL_TOKENS, type Cell } from '../variants.js'
import { strategyOf } from './answer-image.js'
import { replayingSession, withEncoder } from './encoder.js'
import type { Engine } from './engine.js'
import { askedPrompt, openPicture, pruningOf } from './picture.js'
import type { RawImage } from '@huggingface/transformers'
import type { ImageQuestion } from './answer-image.js'

/** Milliseconds in front of the first token. */
export interface FirstTokenTimes {
  readonly preprocessMs: number
  readonly encodeMs: number
  readonly selectMs: number
  /** The whole prompt of one question through the decoder, alone and without any cache. */
  readonly prefillMs: number
}

/**
 * Stage times of one question about an image with every variant at every budget, as `ask()` would take them: answers are
 * computed in batches that share work, so times have to be taken apart from them.
 */
export async function timeImage(
  engine: Engine,
  image: RawImage,
  imageIndex: number,
  { prompt, question }: ImageQuestion,
  cells: readonly Cell[],
): Promise<Record<string, FirstTokenTimes>> {
  // The session that pruning in practice uses, without the taps of ablations.
  const own = { ...engine, encoder: engine.ownEncoder }
  const picture = await openPicture(own, image, prompt)
  const tapped = engine.encoder.isExtra ? await openPicture(engine, image, prompt) : picture
  const asked = await askedPrompt(engine, picture, prompt, question)
  const forward = engine.model.forward.bind(engine.model)
  const times: Record<string, FirstTokenTimes> = {}
  // The first one only warms up.
  for (const cell of [undefined, undefined, ...cells]) {
    const { own: pruning, smaller } = await strategyOf(own, picture, [asked], cell)
    const seen = smaller ?? tapped
    const inputs = smaller ? (await askedPrompt(engine, smaller, prompt, question)).inputs : asked.inputs
    const session = replayingSession(engine.encoder, seen.outputs, pruning?.variant)
    const stages = { select: 0, prefill: 0 }
    const plan = planOf({
      ...pruningOf(engine, seen, asked, pruning, imageIndex),
      onStage: ({ stage, durationMs }) => {
        if (stage === 'select' || stage === 'prefill') stages[stage] += durationMs
      },
    })
    await prunedForward(withEncoder(engine.model, session), engine.adapter, forward, inputs, plan)
    const { preprocessMs, encodeMs } = smaller ?? picture
    times[cell?.key ?? ALL_TOKENS] = { preprocessMs, encodeMs, selectMs: stages.select, prefillMs: stages.prefill }
  }
  return times
}
