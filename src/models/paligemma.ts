import type { Processor, RawImage } from '@huggingface/transformers'
import type { ModelAdapter } from './adapter.js'
import { llava } from './llava.js'
import type { ModelInputs } from './transformers.js'

/**
 * PaliGemma: pictures stand before everything else, the tokens of a prompt see each other both ways, and positions count
 * from 1. Both are the library's and the session's own business: dropped tokens are missing from the prefix, nothing else.
 */
export const paligemma: ModelAdapter = {
  ...llava,
  family: 'paligemma',
  modelTypes: ['paligemma'],

  // The processor puts the start token between the pictures and the text, and ends the line.
  async prompt(processor: Processor, images: readonly RawImage[], text: string): Promise<ModelInputs> {
    return (await (processor as unknown as PaliGemmaProcessor)([...images], text)) as ModelInputs
  },

  message: (placeholder, numImages, question) => placeholder.repeat(numImages) + question,
}

type PaliGemmaProcessor = (images: RawImage[], text: string) => Promise<unknown>
