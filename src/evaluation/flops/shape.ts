import { ArgumentError } from '../../errors.js'

/** The sizes of a vision encoder that costs depend on. */
export interface VisionShape {
  /** Layers that the model has: what the paper counts. */
  readonly layers: number
  /** Layers that run: one less where the features are hidden state -2. */
  readonly layersRun: number
  /** Width of the hidden states. */
  readonly width: number
  /** Width between the two (or, gated, three) matrices of the feed-forward. */
  readonly hidden: number
  /** Matrices of a feed-forward: 2, or 3 where it is gated. */
  readonly feedForwardMatrices: 2 | 3
  /** CLS and register tokens of one tile. */
  readonly prefixTokens: number
  /** Patches that one visual token is made of: 1, or 4 for a 2 x 2 merge. */
  readonly patchesPerToken: number
}

/** The sizes of a language model that costs depend on. */
export interface TextShape {
  readonly layers: number
  readonly width: number
  readonly hidden: number
  readonly heads: number
  /** Heads of keys and values: fewer than `heads` in grouped-query attention. */
  readonly kvHeads: number
  readonly headSize: number
  readonly vocabulary: number
}

/** A vision-language model as a list of sizes. */
export interface VlmShape {
  readonly name: string
  readonly vision: VisionShape
  /** Weights of the projector's matrices. */
  readonly projectorParameters: number
  readonly text: TextShape
  /** Visual tokens of one tile; undefined where the encoder takes any resolution. */
  readonly tokensPerTile?: number
  /** Tiles that an image becomes unless told otherwise. */
  readonly tiles: number
}

/** Weights in the matrices of the encoder's layers. */
export function encoderParameters({ width, hidden, feedForwardMatrices }: VisionShape, layers: number): number {
  return layers * (4 * width ** 2 + feedForwardMatrices * width * hidden)
}

/** Weights in the matrices of the decoder's layers, without the output head. */
export function decoderLayerParameters({ layers, width, hidden, heads, kvHeads, headSize }: TextShape): number {
  const attention = 2 * width * headSize * (heads + kvHeads)
  return layers * (attention + 3 * width * hidden)
}

/** Weights in the output head: one column a word. */
export function headParameters({ width, vocabulary }: TextShape): number {
  return width * vocabulary
}

/** A projector of two layers, as in LLaVA. */
export function mlpProjector(from: number, to: number): number {
  return from * to + to ** 2
}

/** A 2 x 2 (or s x s) merge in front of two layers, as in Qwen-VL. */
export function mergingProjector(width: number, patchesPerToken: number, to: number): number {
  const merged = width * patchesPerToken
  return merged ** 2 + merged * to
}

const clipLarge: VisionShape = {
  layers: 24,
  layersRun: 23,
  width: 1024,
  hidden: 4096,
  feedForwardMatrices: 2,
  prefixTokens: 1,
  patchesPerToken: 1,
}
const siglipSo400m: VisionShape = {
  ...clipLarge,
  layers: 26,
  layersRun: 26,
  width: 1152,
  hidden: 4304,
  prefixTokens: 0,
}
const qwenVision: VisionShape = {
  layers: 32,
  layersRun: 32,
  width: 1280,
  hidden: 3420,
  feedForwardMatrices: 3,
  prefixTokens: 0,
  patchesPerToken: 4,
}
const vicuna7b: TextShape = {
  layers: 32,
  width: 4096,
  hidden: 11008,
  heads: 32,
  kvHeads: 32,
  headSize: 128,
  vocabulary: 32000,
}
const qwen2Half: TextShape = {
  layers: 24,
  width: 896,
  hidden: 4864,
  heads: 14,
  kvHeads: 2,
  headSize: 64,
  vocabulary: 151936,
}
const qwen25Three: TextShape = { ...qwen2Half, layers: 36, width: 2048, hidden: 11008, heads: 16, headSize: 128 }

/** The models of the paper and a small one, by name, so that costs can be counted without their files. */
export const knownShapes: Readonly<Record<string, VlmShape>> = {
  'llava-1.5-7b': llavaShape('llava-1.5-7b', clipLarge, vicuna7b, 576, 1),
  // The base image and four tiles: 2880 tokens.
  'llava-next-7b': llavaShape('llava-next-7b', clipLarge, vicuna7b, 576, 5),
  'llava-onevision-0.5b': llavaShape('llava-onevision-0.5b', siglipSo400m, qwen2Half, 729, 1),
  'qwen2.5-vl-3b': {
    name: 'qwen2.5-vl-3b',
    vision: qwenVision,
    projectorParameters: mergingProjector(1280, 4, 2048),
    text: qwen25Three,
    tiles: 1,
  },
}

/** @throws ArgumentError for a name that is not known. */
export function knownShape(name: string): VlmShape {
  const shape = knownShapes[name]
  if (!shape) throw new ArgumentError('model', name, Object.keys(knownShapes).join(', '))
  return shape
}

function llavaShape(name: string, vision: VisionShape, text: TextShape, tokensPerTile: number, tiles: number) {
  return { name, vision, text, projectorParameters: mlpProjector(vision.width, text.width), tokensPerTile, tiles }
}
