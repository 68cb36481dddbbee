import { DynamicCache, type Processor, type Tensor } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import { isVideo, type Visual } from '../image/index.js'
import { adapterFor, type ModelAdapter, type ModelConfig } from '../models/index.js'
import type { BudgetInput, PatchGrid, PrunerName, TokenSelection } from '../pruning/index.js'
import { downscale } from './downscale.js'
import type { PrunedModel } from './load-pruned.js'
import type { PruningOptions, SelectionEvent, StageEvent } from './options.js'
import { promptMaker } from './prepare-inputs.js'
import { visualsFor } from './visuals.js'
import { trueLength } from './virtual-cache.js'

export type AskOptions = Omit<PruningOptions, 'method'> & {
  /** A selection method, or 'downscale': the image is made smaller, so that the encoder itself makes about K tokens. */
  readonly method?: PrunerName | 'downscale'
  /** Frames to take of each video, at equal distances. Default: what the model's family takes. */
  readonly frames?: number
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
  /** One entry an image, tile or frame. */
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
 * Asks a pruning model one question about one or more images or videos.
 *
 * @param images In the order in which they stand before the question, in RGB; a video is `{ frames: RawImage[] }`.
 * @param options Override the model's own pruning options for this question.
 * @throws ArgumentError without an image or a question; ModelError for a video that the model does not take.
 */
export async function ask(
  { model, processor, tokenizer }: PrunedModel,
  images: readonly Visual[],
  question: string,
  { max_new_tokens = 128, streamer, method, frames, ...pruning }: AskOptions = {},
): Promise<Answer> {
  if (images.length === 0) throw new ArgumentError('images', images, 'at least one image')
  if (question.trim() === '') throw new ArgumentError('question', question, 'a question in words')
  const config = model.config as unknown as ModelConfig
  const adapter = adapterFor(config)
  const start = performance.now()
  const strategy = await strategyOf(
    adapter,
    config,
    processor,
    visualsFor(adapter, config, images, frames),
    method,
    pruning.keep,
  )
  const promptFor = await promptMaker(adapter, config, processor, tokenizer, strategy.images)
  const inputs = await promptFor(question)
  const record = new CallRecord(performance.now() - start, strategy.name)

  const cache = new DynamicCache()
  const output = (await model.generate({
    ...inputs,
    max_new_tokens,
    do_sample: false,
    return_dict_in_generate: true,
    past_key_values: cache,
    ...(streamer !== undefined && { streamer }),
    pruning: record.listen({ question, ...pruning, ...strategy.method }),
  } as never)) as { sequences: Tensor }
  const promptLength = inputs.input_ids.dims[1] as number
  const ids = (output.sequences.tolist() as bigint[][])[0]?.slice(promptLength) ?? []
  const text = tokenizer.decode(ids, { skip_special_tokens: true }).trim()
  const answer = record.answer(text, ids.length, cache)
  await cache.dispose()
  return answer
}

/** What one call reported while it ran. */
class CallRecord {
  private readonly stages: StageEvent[] = []
  private selection: SelectionEvent = { method: '', images: [] }

  constructor(
    private readonly preprocessMs: number,
    private readonly strategy: string | undefined,
  ) {}

  /** The same options, with the caller's own callbacks still called. */
  listen(options: PruningOptions): PruningOptions {
    return {
      ...options,
      onStage: (event) => {
        this.stages.push(event)
        options.onStage?.(event)
      },
      onSelection: (event) => {
        this.selection = event
        options.onSelection?.(event)
      },
    }
  }

  answer(text: string, newTokens: number, cache: DynamicCache): Answer {
    const { method, images } = this.selection
    const promptTokens = this.stages.find(({ stage }) => stage === 'prefill')?.tokens ?? 0
    return {
      text,
      method: this.strategy ?? method,
      images,
      visualTokens: images.reduce((sum, { grid }) => sum + grid.rows * grid.columns, 0),
      keptTokens: images.reduce((sum, { selection }) => sum + selection.kept.length, 0),
      promptTokens,
      newTokens,
      kvCacheBytes: (bytesOf(cache) / trueLength(cache)) * promptTokens,
      times: timesOf(this.stages, this.preprocessMs),
    }
  }
}

/** What the model sees and how it selects: 'downscale' acts on the images, or is answered by pooling. */
async function strategyOf(
  adapter: ModelAdapter,
  config: ModelConfig,
  processor: Processor,
  images: readonly Visual[],
  method: AskOptions['method'],
  keep: BudgetInput = 1 / 3,
): Promise<{ images: readonly Visual[]; method: { method?: PrunerName }; name?: string }> {
  if (method !== 'downscale') return { images, method: method ? { method } : {} }
  const cell = adapter.pixelsPerToken?.(config)
  if (!cell) return { images, method: { method: 'pool' } }
  const smaller = images.map((image) => {
    if (!isVideo(image)) return downscale(adapter, config, processor, image, keep, cell)
    throw new ArgumentError('method', method, 'a selection method for a video')
  })
  return { images: await Promise.all(smaller), method: { method: 'none' }, name: 'downscale' }
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
