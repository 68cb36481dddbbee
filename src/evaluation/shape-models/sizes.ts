import { ArgumentError } from '../../errors.js'
import type { TextShape } from '../flops/shape.js'

/** A CLIP-like vision encoder: patches and CLS, features out of the last layer written. */
export interface VisionSizes {
  /** Side of the square image and of a patch, in pixels. */
  readonly image: number
  readonly patch: number
  readonly width: number
  readonly hidden: number
  readonly heads: number
  /** Layers in the file. A model that reads hidden state -2 has one more, which exports leave out. */
  readonly layers: number
}

/** All sizes of a model that is written to be measured. */
export interface ShapeSizes {
  readonly vision: VisionSizes
  readonly text: TextShape
}

/** CLIP ViT-L/14 at 336 pixels as LLaVA reads it: 576 visual tokens. */
const vitLarge336: VisionSizes = { image: 336, patch: 14, width: 1024, hidden: 4096, heads: 16, layers: 23 }
/** CLIP ViT-B/16 at 224 pixels: 196 visual tokens. */
const vitBase224: VisionSizes = { image: 224, patch: 16, width: 768, hidden: 3072, heads: 12, layers: 11 }

export const shapePresets: Readonly<Record<string, ShapeSizes>> = {
  // Like LLaVA-OneVision 0.5B: the language model has the sizes of Qwen2-0.5B. 3.7 GB.
  'vit-l-0.5b': {
    vision: vitLarge336,
    text: { layers: 24, width: 896, hidden: 4864, heads: 14, kvHeads: 2, headSize: 64, vocabulary: 151936 },
  },
  // Like SmolVLM-256M: the language model has the sizes of SmolLM2-135M. 1 GB, which a browser can hold.
  'vit-b-135m': {
    vision: vitBase224,
    text: { layers: 30, width: 576, hidden: 1536, heads: 9, kvHeads: 3, headSize: 64, vocabulary: 49152 },
  },
  // For trying the commands: times of it mean nothing.
  tiny: {
    vision: { image: 84, patch: 14, width: 32, hidden: 64, heads: 2, layers: 4 },
    text: { layers: 2, width: 32, hidden: 64, heads: 4, kvHeads: 2, headSize: 8, vocabulary: 96 },
  },
}

/**
 * A preset with some sizes changed.
 *
 * @param changes e.g. `{ 'vision.layers': 4, 'text.width': 512 }`.
 * @throws ArgumentError for a preset or size that does not exist, and for sizes that do not fit together.
 */
export function shapeSizes(preset: string, changes: Readonly<Record<string, number>> = {}): ShapeSizes {
  const base = shapePresets[preset]
  if (!base) throw new ArgumentError('shape', preset, Object.keys(shapePresets).join(', '))
  const sizes = { vision: { ...base.vision }, text: { ...base.text } }
  for (const [key, value] of Object.entries(changes)) {
    const [part = '', name = ''] = key.split('.')
    const group = (sizes as Record<string, Record<string, number>>)[part]
    if (!group || !(name in group)) throw new ArgumentError('size', key, sizeNames().join(', '))
    if (!Number.isInteger(value) || value < 1) throw new ArgumentError(`size ${key}`, value, 'an integer from 1')
    group[name] = value
  }
  checkSizes(sizes)
  return sizes
}

function sizeNames(): string[] {
  const { vision, text } = shapePresets['tiny'] as ShapeSizes
  return [...Object.keys(vision).map((name) => `vision.${name}`), ...Object.keys(text).map((name) => `text.${name}`)]
}

function checkSizes({ vision, text }: ShapeSizes): void {
  const { image, patch, width, heads } = vision
  if (image < 2 * patch) throw new ArgumentError('size vision.image', image, `at least two patches of ${patch} pixels`)
  if (width % heads !== 0) throw new ArgumentError('size vision.width', width, `a multiple of the ${heads} heads`)
  if (text.heads % text.kvHeads !== 0)
    throw new ArgumentError('size text.heads', text.heads, `a multiple of the ${text.kvHeads} heads of keys and values`)
  if (text.headSize % 2 !== 0) throw new ArgumentError('size text.headSize', text.headSize, 'an even number')
  if (text.vocabulary < LEAST_VOCABULARY)
    throw new ArgumentError('size text.vocabulary', text.vocabulary, `at least ${LEAST_VOCABULARY}`)
}

/** Words that the tokenizer of a shape model has. */
export const LEAST_VOCABULARY = 32

/** Visual tokens of an image. */
export function visualTokensOf({ image, patch }: VisionSizes): number {
  return Math.floor(image / patch) ** 2
}
