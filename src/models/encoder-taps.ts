import { ArgumentError, ModelError } from '../errors.js'
import { checkReceivedAttention, type EncoderInfo } from '../onnx/index.js'
import type { PatchGrid, PruneInput } from '../pruning/index.js'
import type { OnnxSession, OrtTensor } from './transformers.js'

/** The layers whose attention a tapped encoder returns, 1-based as in the paper. */
export interface TappedLayers {
  readonly object: number
  readonly deep: number
}

const RECEIVED = 'attention_received.'
const CLS = 'attention_cls.'
const KEYS = 'attention_keys.'

/**
 * The layers to tap: the deep layer is the last one in the file, the object layer is the caller's or the encoder's default.
 *
 * @throws ArgumentError for a layer that the encoder does not have.
 */
export function layersToTap(info: EncoderInfo, objectLayer?: number): TappedLayers {
  const deep = info.deepLayer
  const object = objectLayer ?? info.suggestedObjectLayer
  if (!Number.isInteger(object) || object < 1 || object > deep) {
    throw new ArgumentError('objectLayer', object, `an integer from 1 to ${deep}, the attention layers of this encoder`)
  }
  return { object, deep }
}

/**
 * What `tapAttention` is asked for: received attention of both layers, and of the deep layer the CLS row and the keys where
 * the encoder has them, so that every method can be chosen after loading.
 */
export function tapsFor(info: EncoderInfo, { object, deep }: TappedLayers) {
  return {
    layers: [...new Set([object, deep])],
    cls: info.hasClsToken ? [deep] : [],
    keys: info.patchesPerToken === 1 ? [deep] : [],
  }
}

/** Reads from a session's output names which layers it was tapped at; undefined for an encoder without taps. */
export function tappedLayers(session: OnnxSession): TappedLayers | undefined {
  const names = session.outputNames.filter((name) => name.startsWith(RECEIVED))
  const layers = names.map((name) => Number(name.slice(RECEIVED.length))).sort((a, b) => a - b)
  const [object] = layers
  const deep = layers.at(-1)
  return object === undefined || deep === undefined ? undefined : { object, deep }
}

/** Attention scores of one entry of `pixel_values`, as the pruners read them. */
export type TapScores = Pick<PruneInput, 'objectScores' | 'deepScores' | 'clsScores' | 'keys'>

/**
 * Scores of the visual tokens from `start` to `end`, counted over all images, from an encoder's raw outputs; empty for an
 * encoder without taps. Where it has no CLS token, the deep scores stand in for the attention of CLS.
 */
export function scoresOf(
  outputs: Record<string, OrtTensor>,
  taps: TappedLayers | undefined,
  start: number,
  end: number,
): TapScores {
  if (!taps) return {}
  const deepScores = scoresIn(outputs, RECEIVED + taps.deep).subarray(start, end)
  const clsScores = outputs[CLS + taps.deep] ? scoresIn(outputs, CLS + taps.deep).subarray(start, end) : deepScores
  const objectScores = scoresIn(outputs, RECEIVED + taps.object).subarray(start, end)
  const keys = outputs[KEYS + taps.deep]
  if (!keys) return { objectScores, deepScores, clsScores }
  const width = keys.dims.at(-1) as number
  const rows = scoresIn(outputs, KEYS + taps.deep).subarray(start * width, end * width)
  return { objectScores, deepScores, clsScores, keys: rows }
}

/** Tokens of all images one after the other, whether the encoder has a batch axis (`[B, N]`) or packs them (`[N]`). */
function scoresIn(outputs: Record<string, OrtTensor>, name: string): Float32Array {
  const output = outputs[name]
  if (!output) throw new ModelError(`the vision encoder did not return ${name}`)
  return output.data as Float32Array
}

/**
 * The cheapest proof that the taps sit where they should (SPEC 1): the attention received by all tokens, CLS included,
 * sums to 1, and there is one score a visual token.
 *
 * @param grid Patch grid of the one image that the outputs belong to.
 * @throws ModelError when it does not.
 */
export function checkTaps(
  outputs: Record<string, OrtTensor>,
  taps: TappedLayers,
  grid: PatchGrid,
  patchesPerToken: number,
): void {
  checkReceivedAttention(outputs, patchesPerToken)
  const { length } = scoresIn(outputs, RECEIVED + taps.deep)
  if (length === grid.rows * grid.columns) return
  throw new ModelError(
    `layer ${taps.deep} has ${length} attention scores, expected one for each of ${grid.rows} x ${grid.columns} visual tokens`,
  )
}
