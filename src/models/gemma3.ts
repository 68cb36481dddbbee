import type { Processor, RawImage } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import { llava } from './llava.js'
import type { ModelConfig, ModelInputs } from './transformers.js'

/**
 * Gemma 3: pooling averages squares of patches (4 x 4 in the published models) into mm_tokens_per_image visual tokens, and a
 * picture's placeholders stand between two marks. Pictures attend causally, as no session of Transformers.js is told where
 * they are; layers with a sliding window look back over that many tokens of the pruned prompt.
 */
export const gemma3: ModelAdapter = {
  ...llava,
  family: 'gemma3',
  modelTypes: ['gemma3'],
  patchesPerToken: (config) => patchesPerImage(config) / tokensPerSide(config) ** 2,

  // A prompt holds one start mark a picture, which the processor replaces by marks and placeholders.
  async prompt(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs> {
    const gemma = processor as unknown as Gemma3Processor
    return (await gemma(text.replaceAll(gemma.image_token, gemma.boi_token), [...images])) as ModelInputs
  },

  grids(config: ModelConfig, { pixel_values }: ModelInputs): PatchGrid[] {
    const side = tokensPerSide(config)
    return Array.from({ length: pixel_values?.dims[0] ?? 0 }, () => ({ rows: side, columns: side }))
  },
}

interface Gemma3Processor {
  (text: string, images: RawImage[]): Promise<unknown>
  readonly image_token: string
  readonly boi_token: string
}

function patchesPerImage({ vision_config }: ModelConfig): number {
  return (Number(vision_config?.['image_size']) / Number(vision_config?.['patch_size'])) ** 2
}

/** @throws ModelError for a config.json without a square number of visual tokens. */
function tokensPerSide({ mm_tokens_per_image: tokens }: ModelConfig): number {
  const side = Math.sqrt(Number(tokens))
  if (Number.isInteger(side)) return side
  throw new ModelError(`config.json: mm_tokens_per_image: got ${tokens}, allowed: a square number such as 256`)
}
