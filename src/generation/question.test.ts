import { AutoTokenizer, type PreTrainedTokenizer } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { oracleRoot } from '../../test/golden.js'
import { loadTiny } from '../../test/tiny-llava.js'
import type { VisionLanguageModel } from '../models/index.js'
import { questionIds, questionVector } from './question.js'

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

it('questionVector is the mean of the input embeddings', async () => {
  const { model } = await loadTiny('llava')
  const vlm = model as unknown as VisionLanguageModel
  const one = async (question: string) => await questionVector(vlm, { tokenizer, question }, [], IMAGE)
  const ids = wordsOf('cat')
  const parts = await Promise.all(ids.map((id) => one(tokenizer.decode([id]))))
  const whole = await one('cat')
  expect(whole).toHaveLength(64)
  for (let d = 0; d < 64; d++) {
    expect(whole[d]).toBeCloseTo(parts.reduce((sum, part) => sum + part[d]!, 0) / parts.length, 6)
  }
  await model.dispose()
})
