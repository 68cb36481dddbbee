import { Tensor, type PreTrainedTokenizer } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import type { TextTower, VisionLanguageModel } from '../models/index.js'
import { relevanceToText } from '../pruning/index.js'
import type { EncodedImage } from './encode-images.js'

/** Where the words of the question come from: what the caller says, or the end of the prompt. */
export interface QuestionSource {
  readonly question?: string | undefined
  readonly tokenizer?: PreTrainedTokenizer | undefined
  readonly textTower?: TextTower | undefined
}

/**
 * Similarity of an image's visual tokens to the question (SPEC 3), in the space of the encoder's paired text tower where the
 * model ships one, otherwise in that of the language model's input embeddings.
 *
 * @param promptIds The row of the prompt that the image stands in.
 * @returns float32 `[N]`.
 */
export async function relevanceOf(
  model: VisionLanguageModel,
  source: QuestionSource,
  promptIds: readonly number[],
  imageTokenId: number,
  { features, patchEmbeds }: Pick<EncodedImage, 'features' | 'patchEmbeds'>,
): Promise<Float32Array> {
  const ids = questionIds(source, promptIds, imageTokenId)
  if (!patchEmbeds || !source.textTower) return relevanceToText(features, await meanEmbedding(model, ids))
  const words = source.question ?? (source.tokenizer as PreTrainedTokenizer).decode(ids)
  return relevanceToText(patchEmbeds, await source.textTower.embed(words))
}

/** float32 `[D]`: mean of the language model's input embeddings of these tokens. */
export async function meanEmbedding(model: VisionLanguageModel, ids: readonly number[]): Promise<Float32Array> {
  const embeddings = await model.encode_text({
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
  })
  return meanOfRows(embeddings.data as Float32Array, ids.length)
}

/** Ids of the question's tokens: of `question` when it is given, else of the prompt's text after its last image. */
export function questionIds(
  { question, tokenizer }: QuestionSource,
  promptIds: readonly number[],
  imageTokenId: number,
): number[] {
  if (!tokenizer) {
    throw new ArgumentError(
      'tokenizer',
      tokenizer,
      "the model's tokenizer, which a method that reads the question needs",
    )
  }
  const special = new Set([...tokenizer.all_special_ids.map(Number), imageTokenId])
  const words = (ids: readonly number[]) => ids.filter((id) => !special.has(id))
  if (question !== undefined) {
    const ids = words(tokenizer.encode(question, { add_special_tokens: false }).map(Number))
    if (ids.length === 0) throw new ArgumentError('question', question, 'a question in words that the tokenizer knows')
    return ids
  }
  const text = withoutTail(promptIds, templateTail(tokenizer))
  const afterImage = words(text.slice(text.lastIndexOf(imageTokenId) + 1))
  return afterImage.length > 0 ? afterImage : words(text)
}

const tails = new WeakMap<PreTrainedTokenizer, number[]>()
const MARK = '\u25c6'

/** What the chat template writes behind a question, e.g. ' ASSISTANT:': found by rendering one and looking behind it. */
function templateTail(tokenizer: PreTrainedTokenizer): number[] {
  const known = tails.get(tokenizer)
  if (known) return known
  const tail = tokenizer.chat_template
    ? tokenizer.encode(renderTail(tokenizer), { add_special_tokens: false }).map(Number)
    : []
  tails.set(tokenizer, tail)
  return tail
}

function renderTail(tokenizer: PreTrainedTokenizer): string {
  const options = { tokenize: false, add_generation_prompt: true } as const
  const render = (content: unknown) =>
    tokenizer.apply_chat_template([{ role: 'user', content }] as never, options) as string
  let rendered = ''
  try {
    rendered = render([{ type: 'text', text: MARK }])
  } catch {
    // Templates that take a text only fail on a list, or write something else for it.
  }
  if (!rendered.includes(MARK)) rendered = render(MARK)
  return rendered.slice(rendered.lastIndexOf(MARK) + MARK.length)
}

function withoutTail(ids: readonly number[], tail: readonly number[]): readonly number[] {
  const start = ids.length - tail.length
  return tail.every((id, i) => ids[start + i] === id) ? ids.slice(0, start) : ids
}

function meanOfRows(rows: Float32Array, count: number): Float32Array {
  const width = rows.length / count
  const mean = new Float32Array(width)
  for (let i = 0; i < rows.length; i++) mean[i % width] = (mean[i % width] as number) + (rows[i] as number) / count
  return mean
}
