import { ArgumentError } from '../../errors.js'
import { decoderLayerParameters, encoderParameters, headParameters, type VlmShape } from './shape.js'

/**
 * How operations are counted. n tokens enter the language model, d is its width, m the width of its feed-forward.
 *
 * - `calflops`: the paper's. Two operations a weight and token in every linear layer: encoder, projector, language model with
 *   its output head. No QK^T, no AV.
 * - `fastv`: 4nd^2 + 2n^2d + 2ndm a decoder layer, the formula of the FastV paper. Language model only.
 * - `swiglu`: 4nd^2 + 2n^2d + 3ndm, the same for the gated feed-forward that these models really have. Language model only.
 * - `swiglu-2x`: twice that, one operation for a multiplication and one for an addition.
 * - `executed`: what an exported graph multiplies and adds: linear layers with their true (grouped) heads, QK^T and AV over all
 *   pairs, the encoder's last layer only where it runs, and the output head for the last position only.
 */
export const flopPresets = ['calflops', 'fastv', 'swiglu', 'swiglu-2x', 'executed'] as const
export type FlopPreset = (typeof flopPresets)[number]

/** What one image and one prompt amount to. */
export interface TokenCounts {
  /** Visual tokens that the encoder makes, over all tiles. */
  readonly visual: number
  /** Visual tokens that the language model sees. */
  readonly kept: number
  /** Text tokens of the prompt. */
  readonly text: number
  /** Tiles of the image. Default: the shape's. */
  readonly tiles?: number
}

/** Operations until the first token, by part. Parts that a preset does not count are 0. */
export interface FlopCount {
  readonly encoder: number
  readonly projector: number
  readonly llm: number
  readonly total: number
}

/**
 * Floating point operations of one prompt until its first token (SPEC 8 of the project; the paper's are `calflops`).
 *
 * @throws ArgumentError for a preset that does not exist or counts that are not positive.
 */
export function countFlops(shape: VlmShape, tokens: TokenCounts, preset: FlopPreset = 'calflops'): FlopCount {
  checkCounts(tokens)
  const llm = llmFlops(shape, tokens.kept + tokens.text, preset)
  if (preset !== 'calflops' && preset !== 'executed') return { encoder: 0, projector: 0, llm, total: llm }
  const encoder = encoderFlops(shape, tokens, preset === 'executed')
  const projector = 2 * shape.projectorParameters * tokens.visual
  return { encoder, projector, llm, total: encoder + projector + llm }
}

/** The language model's part: n tokens at once, on an empty cache. */
export function llmFlops({ text }: VlmShape, n: number, preset: FlopPreset): number {
  const { layers, width: d, hidden: m, heads, headSize } = text
  const perLayer = (feedForward: number) => 4 * n * d ** 2 + 2 * n ** 2 * d + feedForward * n * d * m
  if (preset === 'fastv') return layers * perLayer(2)
  if (preset === 'swiglu') return layers * perLayer(3)
  if (preset === 'swiglu-2x') return 2 * layers * perLayer(3)
  if (preset === 'calflops') return 2 * (decoderLayerParameters(text) + headParameters(text)) * n
  if (preset !== 'executed') throw new ArgumentError('preset', preset, flopPresets.join(', '))
  const attention = 4 * n ** 2 * heads * headSize * layers
  return 2 * decoderLayerParameters(text) * n + attention + 2 * headParameters(text)
}

function encoderFlops(
  { vision, tiles: ownTiles }: VlmShape,
  { visual, tiles = ownTiles }: TokenCounts,
  asExecuted: boolean,
): number {
  const patches = visual * vision.patchesPerToken + vision.prefixTokens * tiles
  if (!asExecuted) return 2 * encoderParameters(vision, vision.layers) * patches
  const attention = 4 * (patches / tiles) ** 2 * vision.width * vision.layersRun * tiles
  return 2 * encoderParameters(vision, vision.layersRun) * patches + attention
}

/** Bytes of keys and values of `tokens` tokens. */
export function kvCacheBytes({ text }: Pick<VlmShape, 'text'>, tokens: number, bytesPerElement: 2 | 4): number {
  return 2 * text.layers * text.kvHeads * text.headSize * bytesPerElement * tokens
}

/**
 * What HiPrune++ adds: CLIP-L's text tower (12 layers of 768) on 77 tokens, and its projection of every patch.
 */
export function textTowerFlops(visualTokens: number): number {
  const tower = 12 * (4 * 768 ** 2 + 2 * 768 * 3072)
  return 2 * tower * 77 + 2 * 1024 * 768 * visualTokens
}

function checkCounts({ visual, kept, text, tiles = 1 }: TokenCounts): void {
  for (const [name, count, least] of [
    ['visual', visual, 1],
    ['kept', kept, 1],
    ['text', text, 0],
    ['tiles', tiles, 1],
  ] as const) {
    if (!Number.isInteger(count) || count < least) throw new ArgumentError(name, count, `an integer from ${least}`)
  }
  if (kept > visual) throw new ArgumentError('kept', kept, `at most the ${visual} visual tokens`)
}
