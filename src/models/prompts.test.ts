import { RawImage } from '@huggingface/transformers'
import { expect, it } from 'vitest'
import { families } from '../../test/families.js'
import { promptMaker } from '../generation/prepare-inputs.js'
import { loadPruned } from '../index.js'
import { adapterFor } from './registry.js'
import type { ModelConfig } from './transformers.js'

/** The prompt of one question, runs of placeholders written as [count]. */
async function promptOf(family: string, images: readonly RawImage[]): Promise<string> {
  const { folder, imageToken } = families.find(({ name }) => name === family)!
  const { model, processor, tokenizer } = await loadPruned(folder(), { dtype: 'fp32' })
  const config = model.config as unknown as ModelConfig
  const promptFor = await promptMaker(adapterFor(config), config, processor, tokenizer, images)
  const { input_ids } = await promptFor('what ?')
  const text = tokenizer.decode(input_ids.tolist()[0] as never, { skip_special_tokens: false })
  await model.dispose()
  const placeholder = tokenizer.decode([imageToken], { skip_special_tokens: false })
  const runs = new RegExp(`(${placeholder.replaceAll('|', '\\|')})+`, 'g')
  return text.replaceAll(runs, (run: string) => `[${run.length / placeholder.length}]`)
}

const picture = (width: number, height: number) =>
  new RawImage(
    Uint8ClampedArray.from({ length: width * height * 3 }, (_, i) => (i * 7) % 256),
    width,
    height,
    3,
  )
const [small, large] = [picture(40, 24), picture(80, 40)]

const row = (n: number) =>
  [1, 2].map((column) => `<fake_token_around_image><row_${n}_col_${column}>[16]`).join('') + '\n'
const whole = '\n<fake_token_around_image><global-img>[16]<fake_token_around_image>'

/** What each family's own processor writes. */
const expected: Readonly<Record<string, string>> = {
  smolvlm: `<|im_start|>User:${row(1)}${row(2)}${whole}${row(1)}${whole} what ?<end_of_utterance>\nAssistant:`,
  paligemma: '[72]<bos>what ?\n',
  gemma3:
    '<bos><start_of_turn>user\n\n\n<start_of_image>[16]<end_of_image>\n\n\n\n<start_of_image>[16]<end_of_image>\n\nwhat ?' +
    '<end_of_turn>\n<start_of_turn>model\n',
  llava_qwen2:
    '<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n[72]\nwhat ?<|im_end|><|im_start|>assistant\n',
  lfm2_vl:
    '<|im_start|>user\n<|image_start|>[15]<|image_end|><|image_start|><|img_row_1_col_1|>[16]<|img_row_1_col_2|>[16]' +
    '<|img_thumbnail|>[10]<|image_end|>what ?<|im_end|>\n<|im_start|>assistant\n',
  qwen2_vl:
    '<|im_start|>user\n<|vision_start|>[15]<|vision_end|><|vision_start|>[50]<|vision_end|>what ?<|im_end|>\n' +
    '<|im_start|>assistant\n',
  qwen3_vl:
    '<|im_start|>user\n<|vision_start|>[15]<|vision_end|><|vision_start|>[50]<|vision_end|>what ?<|im_end|>\n' +
    '<|im_start|>assistant\n',
}

it.each(Object.entries(expected))('%s: the prompt of a question about two pictures', async (family, text) => {
  expect(await promptOf(family, [small, large])).toBe(text)
})
