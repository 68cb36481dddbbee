import type { PreTrainedTokenizer, Processor, RawImage, Tensor } from '@huggingface/transformers'
import type { ModelAdapter, ModelConfig, ModelInputs } from '../models/index.js'

/** Makes the model's whole input for one question about images that were preprocessed before. */
export type PromptMaker = (question: string) => Promise<ModelInputs>

/**
 * Preprocesses images once, for any number of questions: chat template, one placeholder a visual token (also for several
 * images, which the library's processor leaves to the caller).
 */
export async function promptMaker(
  adapter: ModelAdapter,
  config: ModelConfig,
  processor: Processor,
  tokenizer: PreTrainedTokenizer,
  images: readonly RawImage[],
): Promise<PromptMaker> {
  const placeholder = tokenizer.decode([adapter.imageTokenId(config)], { skip_special_tokens: false })
  const promptOf = (question: string) => chatPrompt(tokenizer, images.length, placeholder, question)
  if (adapter.prompt) {
    // Such a processor writes prompt and pixels in one go.
    const prompt = adapter.prompt.bind(adapter)
    return async (question) => await prompt(processor, images, promptOf(question))
  }
  const pixels = await adapter.preprocess(processor, images)
  const grids = adapter.grids(config, pixels as ModelInputs)
  return (question) => {
    let next = 0
    const text = promptOf(question).replaceAll(placeholder, () => {
      const grid = grids[next++]
      return placeholder.repeat(grid ? grid.rows * grid.columns : 1)
    })
    return Promise.resolve({ ...pixels, ...(tokenizer(text) as { input_ids: Tensor; attention_mask: Tensor }) })
  }
}

function chatPrompt(tokenizer: PreTrainedTokenizer, numImages: number, placeholder: string, question: string): string {
  // A question that spells the placeholder would count as one more image.
  const text = question.replaceAll(placeholder, ' ')
  if (!tokenizer.chat_template) return `USER: ${placeholder.repeat(numImages)}\n${text} ASSISTANT:`
  const content = [...Array.from({ length: numImages }, () => ({ type: 'image' })), { type: 'text', text }]
  return tokenizer.apply_chat_template([{ role: 'user', content }] as never, {
    add_generation_prompt: true,
    tokenize: false,
  }) as string
}
