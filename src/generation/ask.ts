import {
  DynamicCache,
  type PreTrainedTokenizer,
  type Processor,
  type RawImage,
  type Tensor,
} from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import { adapterFor, type ModelConfig, type ModelInputs } from '../models/index.js'
import type { PatchGrid, TokenSelection } from '../pruning/index.js'
import type { PrunedModel } from './load-pruned.js'
import type { PruningOptions, StageEvent } from './options.js'
import { trueLength } from './virtual-cache.js'

export type AskOptions = PruningOptions & {
  /** Longest answer, in tokens. Default 128. */
  readonly max_new_tokens?: number
  /** A streamer of Transformers.js, e.g. TextStreamer. */
  readonly streamer?: unknown
}

/** Milliseconds of each stage of one answer. */
export interface StageTimes {
  /** Image processor and tokenizer. */
  readonly preprocessMs: number
  /** Vision encoder, attention taps included. */
  readonly encodeMs: number
  readonly selectMs: number
  /** The prompt through the language model, text embedding included. */
  readonly prefillMs: number
  /** Mean over the tokens after the first; 0 for an answer of one token. */
  readonly decodeMsPerToken: number
  /** Everything until the first token: preprocess + encode + select + prefill. */
  readonly timeToFirstTokenMs: number
}

export interface Answer {
  readonly text: string
  readonly method: string
  /** One entry an image. */
  readonly images: readonly { readonly grid: PatchGrid; readonly selection: TokenSelection }[]
  /** Visual tokens that the encoder made, and those that the language model saw. */
  readonly visualTokens: number
  readonly keptTokens: number
  /** Length of the prompt that was prefilled, text and kept visual tokens. */
  readonly promptTokens: number
  readonly newTokens: number
  /** Keys and values of the prompt in the cache. */
  readonly kvCacheBytes: number
  readonly times: StageTimes
}

/**
 * Asks a pruning model one question about one or more images.
 *
 * @param images In the order of the question's images, in RGB.
 * @param options Override the model's own pruning options for this question.
 * @throws ArgumentError without an image or a question.
 */
export async function ask(
  { model, processor, tokenizer }: PrunedModel,
  images: readonly RawImage[],
  question: string,
  { max_new_tokens = 128, streamer, ...pruning }: AskOptions = {},
): Promise<Answer> {
  if (images.length === 0) throw new ArgumentError('images', images, 'at least one image')
  if (question.trim() === '') throw new ArgumentError('question', question, 'a question in words')
  const stages: StageEvent[] = []
  let seen: Answer['images'] = []
  let method = ''
  const start = performance.now()
  const inputs = await prepareInputs(model.config as unknown as ModelConfig, processor, tokenizer, images, question)
  const preprocessMs = performance.now() - start

  const cache = new DynamicCache()
  const output = (await model.generate({
    ...inputs,
    max_new_tokens,
    do_sample: false,
    return_dict_in_generate: true,
    past_key_values: cache,
    ...(streamer !== undefined && { streamer }),
    pruning: {
      question,
      ...pruning,
      onStage: (event: StageEvent) => {
        stages.push(event)
        pruning.onStage?.(event)
      },
      onSelection: (event: Parameters<NonNullable<PruningOptions['onSelection']>>[0]) => {
        seen = event.images
        method = event.method
        pruning.onSelection?.(event)
      },
    },
  } as never)) as { sequences: Tensor }
  const promptLength = inputs.input_ids.dims[1] as number
  const ids = (output.sequences.tolist() as bigint[][])[0]?.slice(promptLength) ?? []
  const times = timesOf(stages, preprocessMs)
  const promptTokens = stages.find(({ stage }) => stage === 'prefill')?.tokens ?? promptLength
  const kvCacheBytes = (bytesOf(cache) / trueLength(cache)) * promptTokens
  await cache.dispose()
  return {
    text: tokenizer.decode(ids, { skip_special_tokens: true }).trim(),
    method,
    images: seen,
    visualTokens: seen.reduce((sum, { grid }) => sum + grid.rows * grid.columns, 0),
    keptTokens: seen.reduce((sum, { selection }) => sum + selection.kept.length, 0),
    promptTokens,
    newTokens: ids.length,
    kvCacheBytes,
    times,
  }
}

/** Chat template, one placeholder a visual token (also for several images, which the library's processor leaves to the caller). */
async function prepareInputs(
  config: ModelConfig,
  processor: Processor,
  tokenizer: PreTrainedTokenizer,
  images: readonly RawImage[],
  question: string,
): Promise<ModelInputs> {
  const adapter = adapterFor(config)
  const pixels = await adapter.preprocess(processor, images)
  const grids = adapter.grids(config, pixels as ModelInputs)
  const placeholder = tokenizer.decode([adapter.imageTokenId(config)], { skip_special_tokens: false })
  let next = 0
  const text = chatPrompt(tokenizer, images.length, placeholder, question).replaceAll(placeholder, () => {
    const grid = grids[next++]
    return placeholder.repeat(grid ? grid.rows * grid.columns : 1)
  })
  return { ...pixels, ...(tokenizer(text) as { input_ids: Tensor; attention_mask: Tensor }) }
}

function chatPrompt(tokenizer: PreTrainedTokenizer, numImages: number, placeholder: string, question: string): string {
  // A question that spells the placeholder would count as one more image.
  const text = question.replaceAll(placeholder, ' ')
  if (!tokenizer.chat_template) return `USER: ${placeholder.repeat(numImages)}\n${text} ASSISTANT:`
  const content = [...Array.from({ length: numImages }, () => ({ type: 'image' })), { type: 'text', text }]
  return tokenizer.apply_chat_template([{ role: 'user', content }] as never, {
    add_generation_prompt: true,
    tokenize: false,
  }) as string
}

function timesOf(stages: readonly StageEvent[], preprocessMs: number): StageTimes {
  const total = (wanted: StageEvent['stage']) =>
    stages.filter(({ stage }) => stage === wanted).reduce((sum, { durationMs }) => sum + durationMs, 0)
  const [encodeMs, selectMs, prefillMs] = [total('encode'), total('select'), total('prefill')]
  const steps = stages.filter(({ stage }) => stage === 'decode').length
  return {
    preprocessMs,
    encodeMs,
    selectMs,
    prefillMs,
    decodeMsPerToken: steps === 0 ? 0 : total('decode') / steps,
    timeToFirstTokenMs: preprocessMs + encodeMs + selectMs + prefillMs,
  }
}

function bytesOf(cache: DynamicCache): number {
  return Object.values(cache).reduce((sum, tensor) => sum + tensor.size * bytesPerElement(tensor.type), 0)
}

function bytesPerElement(type: string): number {
  return type === 'float16' ? 2 : type === 'float32' ? 4 : 1
}
