import { AutoModelForImageTextToText, AutoProcessor, RawImage, Tensor } from '@huggingface/transformers'
import { tapModel } from '../src/index.js'
import { oracleRoot, readGolden, type BinReference } from './golden.js'

/** A golden run of a tiny LLaVA; see fixtures/oracle/README.md. */
export interface GoldenRun {
  sequence_length: number
  last_token_logits: number[]
  greedy_tokens: number[]
  inputs_embeds: BinReference
}

export interface GoldenVlm {
  samples: {
    png: string
    prompt: string
    input_ids: number[]
    image_features: BinReference
    scores: BinReference
    full: GoldenRun
    pruned: (GoldenRun & { retention: number; alpha: number; object_layer: number; kept: number[] })[]
  }[]
}

/** The loosely typed face that Transformers.js gives its models, as a user calls it. */
export interface AnyModel {
  (inputs: object): Promise<{ logits: Tensor }>
  generate(inputs: object): Promise<unknown>
  sessions: Record<string, { outputNames: string[] }>
  dispose(): Promise<unknown>
}
export interface AnyProcessor {
  (image: RawImage | RawImage[], text?: string | string[], options?: object): Promise<ModelInputs>
}
export interface ModelInputs {
  input_ids: Tensor
  attention_mask: Tensor
  pixel_values: Tensor
}

/** Loads one of the tiny models with its golden sample and the inputs of that sample. */
export async function loadTiny(name: 'llava' | 'llava_onevision', objectLayer?: number) {
  const folder = `${oracleRoot}models/tiny-${name.replace('_', '-')}`
  const model = (await AutoModelForImageTextToText.from_pretrained(folder, { dtype: 'fp32' })) as unknown as AnyModel
  if (objectLayer !== undefined) await tapModel(model, folder, { objectLayer })
  const processor = (await AutoProcessor.from_pretrained(folder)) as unknown as AnyProcessor
  const sample = readGolden<GoldenVlm>(`vlm_${name}`).samples[0]!
  const image = await RawImage.read(`${oracleRoot}golden/${sample.png}`)
  // Transformers.js has no LlavaOnevisionProcessor, so the prompt's ids come from the golden data.
  const { pixel_values } = await processor(image)
  return { folder, model, processor, sample, image, inputs: { pixel_values, ...promptOf(sample.input_ids) } }
}

/** One row of token ids, all attended. */
export function promptOf(ids: readonly number[]): Pick<ModelInputs, 'input_ids' | 'attention_mask'> {
  return promptsOf([ids], 0)
}

/** Rows of token ids, left-padded to the longest. */
export function promptsOf(
  rows: readonly (readonly number[])[],
  padToken: number,
): Pick<ModelInputs, 'input_ids' | 'attention_mask'> {
  const width = Math.max(...rows.map(({ length }) => length))
  const dims = [rows.length, width]
  const padded = rows.flatMap((ids) => [...Array<number>(width - ids.length).fill(padToken), ...ids])
  const mask = rows.flatMap((ids) => Array.from({ length: width }, (_, i) => (i < width - ids.length ? 0n : 1n)))
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(padded, BigInt), dims),
    attention_mask: new Tensor('int64', BigInt64Array.from(mask), dims),
  }
}

/** Ids of the new tokens of a greedy run; the golden runs ignore the end token. */
export async function greedy(model: AnyModel, inputs: ModelInputs, options: object = {}): Promise<number[]> {
  const output = (await model.generate({
    ...inputs,
    max_new_tokens: 8,
    do_sample: false,
    eos_token_id: 99_999,
    ...options,
  })) as Tensor
  return idsAfter(output, inputs.input_ids.dims[1]!)[0]!
}

/** Per row of a batch the ids from position `start` on. */
export function idsAfter(sequences: Tensor, start: number): number[][] {
  return (sequences.tolist() as bigint[][]).map((row) => row.slice(start).map(Number))
}

/** Logits of the last position of the first row. */
export async function lastLogits(model: AnyModel, inputs: object): Promise<Float32Array> {
  const { logits } = await model(inputs)
  return (logits.data as Float32Array).slice(-logits.dims[2]!)
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`)
  return Array.from(a).reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0)
}
