import { AutoImageProcessor, AutoTokenizer, type Processor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import { imageTokenId, llava, zeros } from './llava.js'
import { LlavaNextProcessor, expandPlaceholders } from './llava-next/processor.js'
import type { ModelConfig, ModelInputs, OnnxSession } from './transformers.js'

/**
 * nanoLLaVA: LLaVA with SigLIP, in the form of the LLaVA authors' code: config.json names its tower, e.g.
 * 'google/siglip-so400m-patch14-384', and has no vision_config; the chat template takes a text only.
 */
export const llavaQwen2: ModelAdapter = {
  ...llava,
  family: 'llava_qwen2',
  modelTypes: ['llava_qwen2'],

  refuses({ mm_vision_tower: tower = '' }) {
    if (!/mobileclip|fastvit/i.test(tower)) return undefined
    return `its encoder ${tower} is FastViT (FastVLM), whose stages are not on the token grid`
  },

  grids(config: ModelConfig, { pixel_values }: ModelInputs): PatchGrid[] {
    const { patch } = towerOf(config)
    const [count = 0, , height = 0, width = 0] = pixel_values?.dims ?? []
    const grid = { rows: Math.floor(height / patch), columns: Math.floor(width / patch) }
    return Array.from({ length: count }, () => grid)
  },

  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs {
    if (config.vision_config) return llava.blankImage(config, encoder)
    const { side } = towerOf(config)
    return { pixel_values: zeros([1, 3, side, side]) } as ModelInputs
  },

  message: (placeholder, numImages, question) => `${placeholder.repeat(numImages)}\n${question}`,

  // The library's classes read no tokenizer where preprocessor_config.json names no processor.
  async loadProcessor(source, _files, loading, config): Promise<Processor> {
    const tokenizer = await source.load<Tokenizer>((id) => AutoTokenizer.from_pretrained(id, loading))
    const image_processor = await source.load((id) => AutoImageProcessor.from_pretrained(id, loading))
    const processor = new LlavaNextProcessor({}, { tokenizer, image_processor } as never, null as never)
    const placeholder = tokenizer.decode([imageTokenId(config)], { skip_special_tokens: false })
    processor.expand = (inputs, text) => {
      const counts = llavaQwen2.grids(config, inputs).map(({ rows, columns }) => rows * columns)
      return expandPlaceholders(text, placeholder, counts)
    }
    return processor
  },
}

type Tokenizer = Awaited<ReturnType<typeof AutoTokenizer.from_pretrained>>

/** Side of a patch and of the image in pixels. */
function towerOf({ vision_config, mm_vision_tower }: ModelConfig): { patch: number; side: number } {
  if (vision_config) return { patch: Number(vision_config['patch_size']), side: Number(vision_config['image_size']) }
  const [, patch, side] = /patch(\d+)-(\d+)/.exec(mm_vision_tower ?? '') ?? []
  if (patch && side) return { patch: Number(patch), side: Number(side) }
  throw new ModelError(
    `config.json: mm_vision_tower: got ${JSON.stringify(mm_vision_tower)}, allowed: a name that ends in patch<P>-<side>, ` +
      'or a vision_config with patch_size and image_size',
  )
}
