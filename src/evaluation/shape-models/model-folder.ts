import { decoder, embedTokens } from './language-model.js'
import { EXTERNAL_ABOVE } from './onnx-writer.js'
import type { RandomFile } from './random-file.js'
import { visualTokensOf, type ShapeSizes } from './sizes.js'
import { visionEncoder } from './vision-encoder.js'

const IMAGE_TOKEN = { id: 4, text: '<image>' }
const SPECIAL = ['<pad>', '<s>', '</s>', '<unk>', IMAGE_TOKEN.text]
/** Words that a prompt can be written with, one token each. */
const WORDS = ['USER:', 'ASSISTANT:', 'what', 'is', 'in', 'this', 'image', '?', '.', 'the', 'a', 'and', 'of']

/**
 * All files of a model in the Transformers.js layout: three graphs with random weights (fp32), configuration, processor and a
 * tokenizer of a few words. Its answers mean nothing; its times and memory are those of a real model of these sizes.
 *
 * @param externalAbove Bytes of weights from which a graph gets a second file for them. Default 512 MiB.
 */
export function shapeModelFiles(sizes: ShapeSizes, seed: number, externalAbove = EXTERNAL_ABOVE): RandomFile[] {
  const graphs = {
    vision_encoder: visionEncoder(sizes, seed),
    embed_tokens: embedTokens(sizes.text, seed + 1),
    decoder_model_merged: decoder(sizes.text, seed + 2),
  }
  const onnx = Object.entries(graphs).flatMap(([name, graph]) => graph.finish(`${name}.onnx`, externalAbove))
  const external = onnx.filter(({ name }) => name.endsWith('_data')).map(({ name }) => name.replace(/_data$/, ''))
  return [...configFiles(sizes, external), ...onnx.map((file) => ({ ...file, name: `onnx/${file.name}` }))]
}

function configFiles({ vision, text }: ShapeSizes, external: readonly string[]): RandomFile[] {
  const { image, patch } = vision
  const stop = { bos_token_id: 1, pad_token_id: 0 }
  const config = {
    model_type: 'llava',
    architectures: ['LlavaForConditionalGeneration'],
    image_token_index: IMAGE_TOKEN.id,
    image_seq_length: visualTokensOf(vision),
    vision_feature_layer: -2,
    vision_feature_select_strategy: 'default',
    vision_config: {
      model_type: 'clip_vision_model',
      hidden_size: vision.width,
      intermediate_size: vision.hidden,
      // Hidden state -2 is read: the model has one layer more than its export.
      num_hidden_layers: vision.layers + 1,
      num_attention_heads: vision.heads,
      image_size: image,
      patch_size: patch,
    },
    text_config: {
      model_type: 'qwen2',
      hidden_size: text.width,
      intermediate_size: text.hidden,
      num_hidden_layers: text.layers,
      num_attention_heads: text.heads,
      num_key_value_heads: text.kvHeads,
      head_dim: text.headSize,
      vocab_size: text.vocabulary,
      ...stop,
    },
    'transformers.js_config': {
      dtype: 'fp32',
      use_external_data_format: Object.fromEntries(external.map((name) => [name, 1])),
    },
  }
  const processor = {
    image_processor_type: 'CLIPImageProcessor',
    processor_class: 'LlavaProcessor',
    do_convert_rgb: true,
    do_resize: true,
    size: { height: image, width: image },
    resample: 3,
    do_center_crop: false,
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
  }
  return [
    json('config.json', config),
    // No end token: every answer has the length that was asked for.
    json('generation_config.json', { ...stop, do_sample: false }),
    json('preprocessor_config.json', processor),
    json('processor_config.json', {
      processor_class: 'LlavaProcessor',
      image_token: IMAGE_TOKEN.text,
      patch_size: patch,
      num_additional_image_tokens: 0,
    }),
    json('tokenizer.json', tokenizer()),
    json('tokenizer_config.json', {
      tokenizer_class: 'PreTrainedTokenizerFast',
      chat_template: CHAT_TEMPLATE,
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      pad_token: '<pad>',
      image_token: IMAGE_TOKEN.text,
    }),
  ]
}

/** Only what is asked here: one user turn with images and text. */
const CHAT_TEMPLATE =
  "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% endif %}{% endfor %}" +
  "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}ASSISTANT:"

function tokenizer(): object {
  const vocabulary = [...SPECIAL, ...WORDS]
  const special = SPECIAL.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
  const start = { SpecialToken: { id: '<s>', type_id: 0 } }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [start, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [start, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    },
  }
}

/** A question of so many tokens. */
export function questionOf(tokens: number): string {
  const filler = ['what', 'is', 'in', 'this', 'image', '?']
  return Array.from({ length: tokens }, (_, i) => filler[i % filler.length]).join(' ')
}

function json(name: string, value: object): RandomFile {
  return { name, parts: [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)] }
}
