import { AutoTokenizer, type PreTrainedTokenizer } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { oracleRoot } from '../../test/golden.js'
import { loadTiny } from '../../test/tiny-llava.js'
import type { VisionLanguageModel } from '../models/index.js'
import { meanEmbedding, questionIds, relevanceOf } from './question.js'

const IMAGE = 4
let tokenizer: PreTrainedTokenizer
beforeAll(async () => {
  tokenizer = await AutoTokenizer.from_pretrained(`${oracleRoot}models/tiny-llava`)
})

const idsOf = (text: string) => (tokenizer(text) as { input_ids: { data: BigInt64Array } }).input_ids.data
const wordsOf = (text: string) => tokenizer.encode(text, { add_special_tokens: false })
const prompt = (question: string) => {
  const content = [{ type: 'image' }, { type: 'text', text: question }]
  const text = tokenizer.apply_chat_template([{ role: 'user', content }] as never, {
    add_generation_prompt: true,
    tokenize: false,
  })
  return Array.from(idsOf(text as string), Number)
}

describe('questionIds', () => {
  it("finds the question in a prompt: no system text, no special or image tokens, no template's tail", () => {
    const ids = questionIds({ tokenizer }, prompt('Is it a cat?'), IMAGE)
    expect(tokenizer.decode(ids).trim()).toBe('Is it a cat?')
  })

  it('takes the words it is given instead', () => {
    expect(questionIds({ tokenizer, question: 'a dog' }, prompt('Is it a cat?'), IMAGE)).toEqual(wordsOf('a dog'))
  })

  it('takes the text in front of an image that comes last', () => {
    const ids = [...wordsOf('Is it a cat?'), IMAGE, IMAGE]
    expect(questionIds({ tokenizer }, ids, IMAGE)).toEqual(wordsOf('Is it a cat?'))
  })

  it('says what it needs', () => {
    expect(() => questionIds({}, [1, 2], IMAGE)).toThrow(/^tokenizer: got undefined/)
    expect(() => questionIds({ tokenizer, question: '' }, [1, 2], IMAGE)).toThrow(/^question: got ""/)
  })
})

it('without a text tower, relevance is the cosine with the mean of the input embeddings', async () => {
  const { model } = await loadTiny('llava')
  const vlm = model as unknown as VisionLanguageModel
  const ids = wordsOf('cat').map(Number)
  const parts = await Promise.all(ids.map((id) => meanEmbedding(vlm, [id])))
  const mean = Array.from({ length: 64 }, (_, d) => parts.reduce((sum, part) => sum + part[d]!, 0) / parts.length)
  const features = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i * i))
  const relevance = await relevanceOf(vlm, { tokenizer, question: 'cat' }, [], IMAGE, { features })
  const norm = (values: readonly number[]) => Math.hypot(...values)
  for (let token = 0; token < 3; token++) {
    const row = [...features.subarray(token * 64, (token + 1) * 64)]
    const cosine = row.reduce((sum, value, d) => sum + value * mean[d]!, 0) / (norm(row) * norm(mean))
    expect(relevance[token]).toBeCloseTo(cosine, 5)
  }
  await model.dispose()
})
