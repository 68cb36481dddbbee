import type { PreTrainedTokenizer, RawImage, Tensor } from '@huggingface/transformers'
import { downscale } from '../../generation/downscale.js'
import { planOf, type PruningOptions, type SelectionEvent } from '../../generation/options.js'
import { promptMaker, type PromptMaker } from '../../generation/prepare-inputs.js'
import { prunedForward } from '../../generation/pruned-forward.js'
import { scoresOf, type ModelInputs, type ModelOutputs, type OnnxSession } from '../../models/index.js'
import { parseBudget, resolveBudget, type PrunerName } from '../../pruning/index.js'
import type { Cell, Variant } from '../variants.js'
import type { Continuation, Prefix } from './decoder.js'
import { recordingSession, replayingSession, withEncoder, type EncoderOutputs } from './encoder.js'
import type { Engine } from './engine.js'

/** One image that the encoder has seen, ready for any selection and question. */
export interface Picture {
  readonly image: RawImage
  readonly promptFor: PromptMaker
  readonly outputs: EncoderOutputs
  readonly visualTokens: number
  readonly preprocessMs: number
  readonly encodeMs: number
}

/** A prompt of the unpruned model, cut behind its last visual token. */
export interface AskedPrompt {
  readonly inputs: ModelInputs
  readonly prompt: string
  /** The words that methods which read the question read. */
  readonly question: string
  /** What stands in front of the cut, to see which prompts share it. */
  readonly head: string
  readonly rest: Omit<Continuation, 'prefix'>
}

/** A prompt after selection. */
export interface PrunedPrompt {
  readonly prefix: Prefix
  readonly selection: SelectionEvent
  /** Equal for prompts whose decoder gets the same prefix. */
  readonly key: string
  readonly selectMs: number
}

/** Preprocesses an image and runs the encoder once. */
export async function openPicture(engine: Engine, image: RawImage, prompt: string): Promise<Picture> {
  const { adapter, config, processor, tokenizer, encoder } = engine
  const start = performance.now()
  const promptFor = await promptMaker(adapter, config, processor, tokenizer, [image])
  const inputs = await promptFor(prompt)
  const preprocessMs = performance.now() - start
  const recording = recordingSession(encoder.session)
  let visualTokens = 0
  let encodeMs = 0
  await capture(engine, recording.session, inputs, {
    method: 'none',
    onStage: ({ stage, durationMs, tokens }) => {
      if (stage === 'encode') [visualTokens, encodeMs] = [tokens, durationMs]
    },
  })
  return { image, promptFor, outputs: recording.outputs(), visualTokens, preprocessMs, encodeMs }
}

/** A question about a picture as the unpruned model would get it. */
export async function askedPrompt(
  engine: Engine,
  { promptFor }: Pick<Picture, 'promptFor'>,
  prompt: string,
  question: string,
): Promise<AskedPrompt> {
  const inputs = await promptFor(prompt)
  const ids = Array.from(inputs.input_ids.data as BigInt64Array)
  const cut = headLength(engine, ids)
  const positions = engine.adapter.positions?.(engine.model, inputs)
  const rest = {
    ids: ids.slice(cut),
    prompt: ids,
    ...(positions && { positions: columnsFrom(positions, cut) }),
  }
  return { inputs, prompt, question, head: ids.slice(0, cut).join(), rest }
}

/** Selects tokens for a prompt, by the same forward pass that `generate()` runs, stopped in front of the decoder. */
export async function prunePrompt(
  engine: Engine,
  picture: Picture,
  asked: AskedPrompt,
  cell: Cell | undefined,
  imageIndex: number,
): Promise<PrunedPrompt> {
  let selection: SelectionEvent = { method: '', images: [] }
  let selectMs = 0
  const captured = await capture(
    engine,
    replayingSession(engine.encoder, picture.outputs, cell?.variant),
    asked.inputs,
    {
      ...pruningOf(engine, picture, asked, cell, imageIndex),
      onSelection: (event) => (selection = event),
      onStage: ({ stage, durationMs }) => {
        if (stage === 'select') selectMs = durationMs
      },
    },
  )
  const ids = Array.from(captured.input_ids.data as BigInt64Array)
  const length = headLength(engine, ids)
  const positions = captured.position_ids
  const prefix = {
    embeds: captured.inputs_embeds.slice(null, [0, length]),
    length,
    ...(positions && { positions: columnsFrom(positions, 0, length) }),
  }
  return { prefix, selection, key: `${asked.head}|${keyOf(selection, cell)}`, selectMs }
}

/** Options of the forward pass for a variant at a budget; no cell stands for all tokens. */
export function pruningOf(
  engine: Engine,
  { outputs, visualTokens }: Picture,
  { question }: AskedPrompt,
  cell: Cell | undefined,
  imageIndex: number,
): PruningOptions {
  const { tokenizer, textTower } = engine
  if (!cell) return { method: 'none' }
  const { variant, budget } = cell
  const method = variant.method === 'downscale' ? 'none' : variant.method
  const seed = method === 'random' ? { seed: seedOf(engine, variant, imageIndex) } : {}
  return {
    ...variant.options,
    ...seed,
    method: method as PrunerName,
    keep: ownLayers(variant) ? tokensOf(engine, outputs, visualTokens, budget) : budget,
    // A question of unknown words only has nothing to be similar to: then the prompt's text stands in, as in generate().
    ...(hasWords(tokenizer, question) && { question }),
    tokenizer,
    ...(textTower && { textTower }),
  }
}

function hasWords(tokenizer: PreTrainedTokenizer, question: string): boolean {
  const special = new Set(tokenizer.all_special_ids.map(Number))
  return tokenizer.encode(question, { add_special_tokens: false }).some((id) => !special.has(Number(id)))
}

/** Random tokens differ from image to image, and are the same in every run with this seed. */
export function seedOf(
  { seed }: Pick<Engine, 'seed'>,
  { options }: Pick<Variant, 'options'>,
  imageIndex: number,
): number {
  const own = Number(options['seed'] ?? 0)
  return (
    (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(own + 1, 0x85ebca6b) ^ Math.imul(imageIndex + 1, 0xc2b2ae35)) >>> 0
  )
}

/** The same question about a smaller image, for 'downscale'; undefined where the encoder's resolution is fixed. */
export async function smallerPicture(engine: Engine, picture: Picture, cell: Cell, prompt: string) {
  const { adapter, config, processor } = engine
  const side = adapter.pixelsPerToken?.(config)
  if (!side) return undefined
  const keep = tokensOf(engine, picture.outputs, picture.visualTokens, cell.budget)
  const image = await downscale(adapter, config, processor, picture.image, keep, side)
  return await openPicture(engine, image, prompt)
}

/** What the model's forward pass got, were it asked to. */
interface Captured extends ModelInputs {
  readonly inputs_embeds: Tensor
}

async function capture(
  engine: Engine,
  session: OnnxSession,
  inputs: ModelInputs,
  options: PruningOptions,
): Promise<Captured> {
  const seen: ModelInputs[] = []
  const forward = (got: ModelInputs): Promise<ModelOutputs> => {
    seen.push(got)
    return Promise.resolve({})
  }
  await prunedForward(withEncoder(engine.model, session), engine.adapter, forward, inputs, planOf(options))
  return seen[0] as Captured
}

/** K as the model's own deep scores choose it: an ablation of the scores shall not also change the number of tokens. */
function tokensOf({ encoder }: Engine, outputs: EncoderOutputs, visualTokens: number, budget: string): string | number {
  const parsed = parseBudget(budget)
  if (parsed.kind !== 'auto') return budget
  const { deepScores } = scoresOf({ ...outputs }, encoder.layers, 0, visualTokens)
  return resolveBudget(parsed, visualTokens, deepScores)
}

function ownLayers({ objectLayer, deepLayer, attention }: Variant): boolean {
  return objectLayer !== undefined || deepLayer !== undefined || attention !== undefined
}

/** Tokens up to and with the last visual one. */
function headLength({ adapter, config }: Engine, ids: readonly bigint[]): number {
  return ids.lastIndexOf(BigInt(adapter.imageTokenId(config))) + 1
}

/** Merged rows belong to their method alone; otherwise the kept tokens say everything. */
function keyOf({ images }: SelectionEvent, cell: Cell | undefined): string {
  const merges = images.some(({ selection }) => selection.rows)
  return (merges ? `${cell?.key}|` : '') + images.map(({ selection }) => selection.kept.join()).join('|')
}

/** Columns of int64 `[3, 1, T]` positions, as `[3, count]`. */
function columnsFrom({ data, dims }: Tensor, start: number, end = dims.at(-1) as number): BigInt64Array {
  const width = dims.at(-1) as number
  const target = new BigInt64Array(3 * (end - start))
  for (let axis = 0; axis < 3; axis++) {
    target.set((data as BigInt64Array).subarray(axis * width + start, axis * width + end), axis * (end - start))
  }
  return target
}
