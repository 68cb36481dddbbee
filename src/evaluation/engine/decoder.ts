import { DynamicCache, Tensor } from '@huggingface/transformers'
import type { ModelInputs, VisionLanguageModel } from '../../models/index.js'

/** The part of `generate()` that greedy decoding by hand needs, so that both answer alike. */
interface GenerationSeam {
  generation_config?: object
  _prepare_generation_config(config: null, kwargs: object): GenerationConfig
  _get_logits_processor(config: GenerationConfig, length: number, own: null): LogitsProcessor
}
interface GenerationConfig {
  eos_token_id: number | readonly number[] | null
}
type LogitsProcessor = ((ids: readonly bigint[][], logits: Tensor) => Tensor) & {
  readonly processors: readonly unknown[]
}

type Data = Float32Array | Uint16Array
type DataClass = new (size: number) => Data

/** What all continuations of one image and selection share: the prompt up to its last visual token. */
export interface Prefix {
  /** Row-major `[length, D]`. */
  readonly embeds: Tensor
  readonly length: number
  /** int64 `[3, length]` of models whose tokens have positions of their own. */
  readonly positions?: BigInt64Array
}

/** A question behind a prefix. */
export interface Continuation {
  /** Place of its prefix in the batch of prefixes. */
  readonly prefix: number
  /** Token ids behind the last visual token. */
  readonly ids: readonly bigint[]
  /** int64 `[3, ids.length]`, where the prefix has positions. */
  readonly positions?: BigInt64Array
  /** The whole unpruned prompt, which repetition penalties look at. */
  readonly prompt: readonly bigint[]
}

/** Memory that one batch of rows may take for keys, values and logits. */
const BATCH_BYTES = 2 ** 29

/**
 * Answers many questions about few prefixes: each prefix is prefilled once, then its questions go on from that KV cache. Only
 * rows of equal length share a batch, so nothing is padded and every export of a decoder computes what it computes for one
 * row alone.
 */
export class Decoder {
  private constructor(
    private readonly model: VisionLanguageModel,
    private readonly batch: number,
    private readonly maxNewTokens: number,
    private readonly bytesPerToken: number,
  ) {}

  /** @param batch Most rows at once. */
  static async create(model: VisionLanguageModel, batch: number, maxNewTokens: number): Promise<Decoder> {
    // One word tells how much memory a token takes; measured now, so that batches are the same in a resumed run.
    const inputs_embeds = await model.encode_text({ input_ids: idsTensor([[0n]]) })
    const probe = new Decoder(model, 1, 1, 1)
    const { cache, logits } = await probe.forward({ inputs_embeds, attention_mask: onesTensor(1, 1) })
    const bytes = [...Object.values(cache), logits].reduce((sum, { data }) => sum + (data as Data).byteLength, 0)
    await cache.dispose()
    return new Decoder(model, batch, maxNewTokens, bytes)
  }

  /** How many rows of this many tokens one batch takes. */
  rowsOf(length: number): number {
    const fitting = Math.floor(BATCH_BYTES / (this.bytesPerToken * (length + this.maxNewTokens)))
    return Math.max(1, Math.min(this.batch, fitting))
  }

  /** Keys and values of prefixes of one length, a row each. */
  async prefill(prefixes: readonly Prefix[]): Promise<DynamicCache> {
    const [{ length }] = prefixes as [Prefix]
    const inputs_embeds = joinRows(prefixes.map((prefix) => prefix.embeds))
    const position_ids = joinPositions(
      prefixes.map(({ positions }) => positions),
      length,
    )
    const attention_mask = onesTensor(prefixes.length, length)
    const inputs = { inputs_embeds, attention_mask, ...(position_ids && { position_ids }) }
    return (await this.forward(inputs)).cache
  }

  /**
   * Greedy answers, each up to its end token or the longest length.
   *
   * @param prefixes What {@link prefill} returned.
   * @param rows Of one length each.
   */
  async answer(prefixes: DynamicCache, rows: readonly Continuation[]): Promise<bigint[][]> {
    const answers: bigint[][] = rows.map(() => [])
    const { processor, isEnd } = this.generation((rows[0] as Continuation).prompt.length)
    let live = rows.map((_, i) => i)
    let cache = await selectRows(
      prefixes,
      rows.map(({ prefix }) => prefix),
    )
    let next = rows.map(({ ids }) => ids)
    let positions = rows.map((row) => row.positions)
    for (let step = 0; step < this.maxNewTokens; step++) {
      const { logits, cache: grown } = await this.step(cache, next, positions)
      cache = grown
      const history = () => live.map((row) => [...(rows[row] as Continuation).prompt, ...(answers[row] as bigint[])])
      const tokens = bestTokens(processor.processors.length > 0 ? processor(history(), logits) : logits)
      live.forEach((row, i) => (answers[row] as bigint[]).push(tokens[i] as bigint))
      const going = [...live.keys()].filter((i) => !isEnd(tokens[i] as bigint))
      if (going.length === 0) break
      next = going.map((i) => [tokens[i] as bigint])
      positions = going.map((i) => nextPosition(rows[live[i] as number] as Continuation, step))
      if (going.length < live.length) cache = await selectRows(cache, going)
      live = going.map((i) => live[i] as number)
    }
    await cache.dispose()
    return answers
  }

  /** One forward pass of `[rows, n]` tokens on a cache; float32 logits `[rows, vocabulary]` of the last position. */
  private async step(
    cache: DynamicCache,
    ids: readonly (readonly bigint[])[],
    positions: readonly (BigInt64Array | undefined)[],
  ) {
    const length = (ids[0] as bigint[]).length
    const position_ids = joinPositions(positions, length)
    const inputs_embeds = await this.model.encode_text({ input_ids: idsTensor(ids) })
    const attention_mask = onesTensor(ids.length, cache.get_seq_length() + length)
    const inputs = { inputs_embeds, attention_mask, past_key_values: cache, ...(position_ids && { position_ids }) }
    const { logits, cache: grown } = await this.forward(inputs)
    return { logits: logits.slice(null as never, -1, null as never).to('float32'), cache: grown }
  }

  private async forward(inputs: object): Promise<{ logits: Tensor; cache: DynamicCache }> {
    const num_logits_to_keep = new Tensor('int64', [1n], [])
    const outputs = await this.model.forward({ ...inputs, num_logits_to_keep } as unknown as ModelInputs)
    const entries = Object.entries(outputs)
      .filter(([name]) => name.startsWith('present'))
      .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor] as const)
    return { logits: outputs['logits'] as Tensor, cache: new DynamicCache(Object.fromEntries(entries)) }
  }

  private generation(length: number): { processor: LogitsProcessor; isEnd: (id: bigint) => boolean } {
    const seam = this.model as unknown as GenerationSeam
    const kwargs = { max_new_tokens: this.maxNewTokens, do_sample: false }
    const config = seam._prepare_generation_config(null, kwargs)
    const ends = new Set([config.eos_token_id ?? []].flat().map(BigInt))
    return { processor: seam._get_logits_processor(config, length, null), isEnd: (id) => ends.has(id) }
  }
}

/** The most likely token of each row; of equal ones the first. */
function bestTokens({ data, dims }: Tensor): bigint[] {
  const [rows = 0, size = 0] = dims
  const values = data as Float32Array
  return Array.from({ length: rows }, (_, row) => {
    let best = 0
    for (let id = 1; id < size; id++) {
      if ((values[row * size + id] as number) > (values[row * size + best] as number)) best = id
    }
    return BigInt(best)
  })
}

/** Positions of token `step` of the answer: behind the largest of the prompt's. */
function nextPosition({ positions }: Continuation, step: number): BigInt64Array | undefined {
  if (!positions) return undefined
  const largest = positions.reduce((most, value) => (value > most ? value : most), 0n)
  return new BigInt64Array(3).fill(largest + BigInt(step) + 1n)
}

/** Rows of every tensor of a cache, in the order of `rows`, repeats allowed. */
async function selectRows(cache: DynamicCache, rows: readonly number[]): Promise<DynamicCache> {
  const entries = Object.entries(cache).map(async ([name, tensor]) => {
    return [name, await tensorRows(tensor as Tensor, rows)] as const
  })
  return new DynamicCache(Object.fromEntries(await Promise.all(entries)))
}

async function tensorRows(tensor: Tensor, rows: readonly number[]): Promise<Tensor> {
  const data = await dataOf(tensor)
  const size = data.length / (tensor.dims[0] as number)
  const target = new (data.constructor as DataClass)(rows.length * size)
  rows.forEach((row, i) => target.set(data.subarray(row * size, (row + 1) * size), i * size))
  return new Tensor(tensor.type, target, [rows.length, ...tensor.dims.slice(1)])
}

/** A tensor's numbers, fetched from the device where they lie there. */
async function dataOf(tensor: Tensor): Promise<Data> {
  if (tensor.location === 'cpu') return tensor.data as Data
  return (await (tensor as unknown as { ort_tensor: { getData(): Promise<Data> } }).ort_tensor.getData()) as Data
}

/** `[1, length, D]` tensors as one `[rows, length, D]`. */
function joinRows(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors as [Tensor]
  const size = first.size
  const target = new ((first.data as Data).constructor as DataClass)(tensors.length * size)
  tensors.forEach(({ data }, i) => target.set(data as Data, i * size))
  return new Tensor(first.type, target, [tensors.length, ...first.dims.slice(1)])
}

/** int64 `[3, rows, length]`; undefined for models that count positions themselves. */
function joinPositions(positions: readonly (BigInt64Array | undefined)[], length: number): Tensor | undefined {
  if (!positions[0]) return undefined
  const target = new BigInt64Array(3 * positions.length * length)
  positions.forEach((own, row) => {
    for (let axis = 0; axis < 3; axis++) {
      const line = (own as BigInt64Array).subarray(axis * length, (axis + 1) * length)
      target.set(line, (axis * positions.length + row) * length)
    }
  })
  return new Tensor('int64', target, [3, positions.length, length])
}

function idsTensor(ids: readonly (readonly bigint[])[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(ids.flat()), [ids.length, (ids[0] as bigint[]).length])
}

function onesTensor(rows: number, length: number): Tensor {
  return new Tensor('int64', new BigInt64Array(rows * length).fill(1n), [rows, length])
}
