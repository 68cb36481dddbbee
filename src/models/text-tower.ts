import { PreTrainedTokenizer, Tensor } from '@huggingface/transformers'
import { createSessionLike } from './create-session.js'
import { modelFileName, readModelFile, type ModelSource } from './encoder-file.js'
import type { OnnxSession, VisionLanguageModel } from './transformers.js'

/** Output of a vision encoder that ships with its paired text tower: `[tiles, N, P]`, its patches in the space of text. */
export const PATCH_EMBEDS = 'patch_embeds'

/** CLIP reads at most 77 tokens, start and end among them. */
const SEGMENT = 77

/** The text tower that a vision encoder was trained with, as CLIP's. */
export interface TextTower {
  /** float32 `[P]`: the question's embedding; over 77 tokens the mean of its 77-token segments (SPEC 3). */
  embed(question: string): Promise<Float32Array>
}

/**
 * Loads the paired text tower of a model that ships one: its vision encoder returns `patch_embeds`, and beside it lie
 * `text_model*.onnx` (input_ids -> text_embeds) and `clip_tokenizer/`. The session becomes the model's `text_model`.
 *
 * @returns undefined for a model without one.
 * @throws ModelError when the encoder returns `patch_embeds` and the tower's files are missing.
 */
export async function loadTextTower(
  model: VisionLanguageModel,
  source: ModelSource,
  sessionOptions?: object,
): Promise<TextTower | undefined> {
  const encoder = model.sessions['vision_encoder'] as OnnxSession
  if (!encoder.outputNames.includes(PATCH_EMBEDS)) return undefined
  const file = await readModelFile(source, modelFileName('text_model', encoder.config?.dtype ?? 'fp32'))
  const [tokenizer, config] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json'].map(async (name) => {
      const { bytes } = await readModelFile({ ...source, subfolder: 'clip_tokenizer' }, name)
      return JSON.parse(new TextDecoder().decode(bytes)) as object
    }),
  )
  model.sessions['text_model'] = await createSessionLike(encoder, file, sessionOptions)
  return textTower(model, new PreTrainedTokenizer(tokenizer as never, config as never))
}

function textTower(model: VisionLanguageModel, tokenizer: PreTrainedTokenizer): TextTower {
  return {
    async embed(question: string): Promise<Float32Array> {
      const segments = segmentsOf(tokenizer, question)
      const embeddings: Float32Array[] = []
      for (const ids of segments) {
        const input_ids = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length])
        const { data } = await model._encode_input('text_model', { input_ids }, 'text_embeds')
        embeddings.push(data as Float32Array)
      }
      const [first] = embeddings as [Float32Array]
      return first.map((_, d) => embeddings.reduce((sum, one) => sum + (one[d] as number), 0) / embeddings.length)
    },
  }
}

/** Each with the tokenizer's own start and end token. */
function segmentsOf(tokenizer: PreTrainedTokenizer, question: string): number[][] {
  const whole = tokenizer.encode(question).map(Number)
  const words = tokenizer.encode(question, { add_special_tokens: false }).map(Number)
  const start = whole[0] as number
  const end = whole.at(-1) as number
  const segments: number[][] = []
  for (let i = 0; i === 0 || i < words.length; i += SEGMENT - 2) {
    segments.push([start, ...words.slice(i, i + SEGMENT - 2), end])
  }
  return segments
}
