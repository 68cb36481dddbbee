import type { PreTrainedTokenizer, Processor, Tensor } from '@huggingface/transformers'
import { isVideo, type Visual } from '../image/index.js'
import type { ModelAdapter, ModelConfig, ModelInputs } from '../models/index.js'

/** Makes the model's whole input for one question about images that were preprocessed before. */
export type PromptMaker = (question: string) => Promise<ModelInputs>

/**
 * Preprocesses images and videos once, for any number of questions: chat template, one placeholder a visual token (also for
 * several images, which the library's processor leaves to the caller).
 *
 * @param visuals See {@link visualsFor}.
 */
export async function promptMaker(
  adapter: ModelAdapter,
  config: ModelConfig,
  processor: Processor,
  tokenizer: PreTrainedTokenizer,
  visuals: readonly Visual[],
): Promise<PromptMaker> {
  const spelled = (id: number) => tokenizer.decode([id], { skip_special_tokens: false })
  const placeholder = spelled(adapter.imageTokenId(config))
  const videoId = adapter.videoTokenId?.(config)
  const videoPlaceholder = videoId === undefined ? placeholder : spelled(videoId)
  const marks = visuals.map((visual) => (isVideo(visual) ? videoPlaceholder : placeholder))
  const promptOf = (question: string) => {
    // A question that spells a placeholder would count as one more image.
    const text = [placeholder, videoPlaceholder].reduce((words, mark) => words.replaceAll(mark, ' '), question)
    return chatPrompt(adapter, tokenizer, marks, placeholder, text)
  }
  if (adapter.prompt) {
    // Such a processor writes prompt and pixels in one go.
    const prompt = adapter.prompt.bind(adapter)
    return async (question) => await prompt(processor, visuals, promptOf(question))
  }
  const pixels = await adapter.preprocess(processor, visuals)
  const counts = placeholderCounts(adapter, config, pixels as ModelInputs)
  return (question) => {
    let next = 0
    const text = promptOf(question).replaceAll(placeholder, () => placeholder.repeat(counts[next++] ?? 1))
    return Promise.resolve({ ...pixels, ...(tokenizer(text) as { input_ids: Tensor; attention_mask: Tensor }) })
  }
}

/** Visual tokens of each image or video. */
function placeholderCounts(adapter: ModelAdapter, config: ModelConfig, pixels: ModelInputs): number[] {
  const layouts = adapter.layouts?.(config, pixels)
  if (layouts) return layouts.map(({ tokens }) => tokens.length)
  const sizes = adapter.grids(config, pixels).map(({ rows, columns }) => rows * columns)
  let start = 0
  return (adapter.tilesPerImage?.(config, pixels) ?? sizes.map(() => 1)).map((tiles) => {
    return sizes.slice(start, (start += tiles)).reduce((sum, size) => sum + size, 0)
  })
}

/**
 * @param marks The placeholder of each image or video.
 * @param placeholder That of images.
 */
function chatPrompt(
  adapter: ModelAdapter,
  tokenizer: PreTrainedTokenizer,
  marks: readonly string[],
  placeholder: string,
  text: string,
): string {
  const message = adapter.message?.(placeholder, marks.length, text)
  if (!tokenizer.chat_template) return message ?? `USER: ${marks.join('')}\n${text} ASSISTANT:`
  const parts = marks.map((mark) => ({ type: mark === placeholder ? 'image' : 'video' }))
  const content = message ?? [...parts, { type: 'text', text }]
  return tokenizer.apply_chat_template([{ role: 'user', content }] as never, {
    add_generation_prompt: true,
    tokenize: false,
  }) as string
}
