import { Tensor, type RawImage } from '@huggingface/transformers'
import { ask, type PrunedModel } from '../generation/index.js'
import type { VisionLanguageModel } from '../models/index.js'
import { seededRandom } from '../numeric/random.js'
import { neighbourSimilarity } from './redundancy.js'

/** Shares of tokens that are dropped at random (SPEC 6). */
const VISUAL_SHARE = 0.5
const TEXT_SHARE = 0.05

/** A question about one image. */
export interface StudyQuestion {
  readonly image: string
  readonly question: string
}

/** How often an answer stays the same, counted over questions; plain numbers, so that it can be stored and resumed. */
export interface AnswerTotals {
  questions: number
  /** Same answer without half of the visual tokens. */
  keptWithoutVisual: number
  /** Same answer without 5 % of the question's tokens. */
  keptWithoutText: number
  /** Questions that lost a token, and how many of their answers stayed: 5 % of a short question is often none. */
  shortened: number
  keptShortened: number
  /** Sum of the questions' neighbour similarity. */
  textSimilarity: number
}

export function noAnswers(): AnswerTotals {
  return { questions: 0, keptWithoutVisual: 0, keptWithoutText: 0, shortened: 0, keptShortened: 0, textSimilarity: 0 }
}

/**
 * Asks one question three times: in full, without half of the visual tokens, without 5 % of the question's tokens, and adds to
 * the totals which answers stayed. Greedy decoding; which tokens go follows from the seed and the question's number.
 */
export async function compareAnswers(
  loaded: PrunedModel,
  image: RawImage,
  question: string,
  totals: AnswerTotals,
  seed: number,
): Promise<void> {
  const own = Math.imul(seed + 1, 0x85ebca6b) ^ totals.questions
  const answer = async (text: string, method: 'none' | 'random') => {
    const options = method === 'random' ? { method, keep: VISUAL_SHARE, seed: own } : { method }
    return (await ask(loaded, [image], text, { ...options, max_new_tokens: 32 })).text
  }
  const full = await answer(question, 'none')
  const shorter = dropWords(loaded, question, seededRandom(own))
  const withoutText = shorter === question ? full : await answer(shorter, 'none')
  totals.textSimilarity += await textSimilarity(loaded, question)
  if ((await answer(question, 'random')) === full) totals.keptWithoutVisual++
  if (withoutText === full) totals.keptWithoutText++
  if (shorter !== question) {
    totals.shortened++
    if (withoutText === full) totals.keptShortened++
  }
  totals.questions++
}

/** Drops 5 % of the question's tokens on average: the fraction that is no whole token is drawn. At least one token stays. */
export function dropWords(
  { tokenizer }: Pick<PrunedModel, 'tokenizer'>,
  question: string,
  random: () => number,
): string {
  const ids = tokenizer.encode(question, { add_special_tokens: false }).map(Number)
  const wanted = TEXT_SHARE * ids.length
  const count = Math.min(ids.length - 1, Math.floor(wanted) + (random() < wanted % 1 ? 1 : 0))
  if (count < 1) return question
  for (let i = 0; i < count; i++) ids.splice(Math.floor(random() * ids.length), 1)
  return tokenizer.decode(ids, { skip_special_tokens: true })
}

/** Neighbour similarity of the question's tokens as the language model's input embeddings; 0 for a single token. */
async function textSimilarity({ model, tokenizer }: PrunedModel, question: string): Promise<number> {
  const ids = tokenizer.encode(question, { add_special_tokens: false }).map(BigInt)
  const input_ids = new Tensor('int64', BigInt64Array.from(ids), [1, ids.length])
  const { data } = await (model as unknown as VisionLanguageModel).encode_text({ input_ids })
  return neighbourSimilarity(data as Float32Array, ids.length) || 0
}
