import { ModelError } from '../../errors.js'
import { mergingProjector, mlpProjector, type TextShape, type VisionShape, type VlmShape } from './shape.js'

type Config = Readonly<Record<string, unknown>>

/** What Hugging Face leaves out of config.json because it is the class's default. */
const textDefaults: Readonly<Record<string, Config>> = {
  llama: sizes(32, 4096, 11008, 32, 32000),
  mistral: { ...sizes(32, 4096, 14336, 32, 32000), num_key_value_heads: 8 },
  qwen2: sizes(32, 4096, 22016, 32, 151936),
}
const visionDefaults: Readonly<Record<string, Config>> = {
  clip_vision_model: { ...sizes(12, 768, 3072, 12), image_size: 224, patch_size: 32 },
  siglip_vision_model: { ...sizes(12, 768, 3072, 12), image_size: 224, patch_size: 16 },
}

function sizes(layers: number, width: number, hidden: number, heads: number, vocabulary?: number): Config {
  return {
    num_hidden_layers: layers,
    hidden_size: width,
    intermediate_size: hidden,
    num_attention_heads: heads,
    ...(vocabulary !== undefined && { vocab_size: vocabulary }),
  }
}

/**
 * The sizes of a model from its config.json.
 *
 * @param config The parsed file.
 * @param name What to call the model in messages and tables.
 * @throws ModelError for an architecture that is not counted, or a size that is missing.
 */
export function shapeFromConfig(config: Config, name: string): VlmShape {
  const type = String(config['model_type'])
  if (type === 'qwen2_vl' || type === 'qwen2_5_vl') return qwenShape(config, name)
  if (type === 'idefics3' || type === 'smolvlm') return idefics3Shape(config, name)
  if (type === 'llava' || type === 'llava_next' || type === 'llava_onevision') return llavaShape(config, name, type)
  const known = 'llava, llava_next, llava_onevision, idefics3, smolvlm, qwen2_vl, qwen2_5_vl'
  throw new ModelError(`${name}: model_type ${JSON.stringify(type)} is not counted (${known} are); try --graph`)
}

function llavaShape(config: Config, name: string, type: string): VlmShape {
  const [vision, raw] = vitOf(config, name)
  const text = textOf(config, name)
  const side = Math.floor(size(raw, 'image_size', name) / size(raw, 'patch_size', name))
  return {
    name,
    vision,
    text,
    projectorParameters: mlpProjector(vision.width, text.width),
    tokensPerTile: side ** 2,
    // The paper's images: the base image and four tiles.
    tiles: type === 'llava_next' ? 5 : 1,
  }
}

function idefics3Shape(config: Config, name: string): VlmShape {
  const [vit, raw] = vitOf(config, name)
  const scale = size(config, 'scale_factor', name)
  const side = Math.floor(size(raw, 'image_size', name) / size(raw, 'patch_size', name))
  const text = textOf(config, name)
  const vision = { ...vit, patchesPerToken: scale ** 2 }
  const projectorParameters = vit.width * scale ** 2 * text.width
  return { name, vision, text, projectorParameters, tokensPerTile: Math.floor(side / scale) ** 2, tiles: 1 }
}

function qwenShape(config: Config, name: string): VlmShape {
  const raw = section(config, 'vision_config')
  const isSecond = config['model_type'] === 'qwen2_vl'
  const width = size(raw, isSecond ? 'embed_dim' : 'hidden_size', name)
  const hidden = isSecond
    ? width * size({ mlp_ratio: 4, ...raw }, 'mlp_ratio', name)
    : size(raw, 'intermediate_size', name)
  const patchesPerToken = size({ spatial_merge_size: 2, ...raw }, 'spatial_merge_size', name) ** 2
  const text = textOf({ text_config: config, ...config }, name)
  const vision: VisionShape = {
    layers: size(raw, 'depth', name),
    layersRun: size(raw, 'depth', name),
    width,
    hidden,
    feedForwardMatrices: isSecond ? 2 : 3,
    prefixTokens: 0,
    patchesPerToken,
  }
  return { name, vision, text, projectorParameters: mergingProjector(width, patchesPerToken, text.width), tiles: 1 }
}

function vitOf(config: Config, name: string): [VisionShape, Config] {
  const given = section(config, 'vision_config')
  const raw = { ...visionDefaults[String(given['model_type'])], ...given }
  const layers = size(raw, 'num_hidden_layers', name)
  const feature = config['vision_feature_layer']
  const vision: VisionShape = {
    layers,
    layersRun: typeof feature === 'number' && feature < 0 ? layers + 1 + feature : layers,
    width: size(raw, 'hidden_size', name),
    hidden: size(raw, 'intermediate_size', name),
    feedForwardMatrices: 2,
    prefixTokens: String(given['model_type']).startsWith('clip') ? 1 : 0,
    patchesPerToken: 1,
  }
  return [vision, raw]
}

function textOf(config: Config, name: string): TextShape {
  const given = section(config, 'text_config')
  const raw: Config = { ...textDefaults[String(given['model_type'])], ...given }
  const heads = size(raw, 'num_attention_heads', name)
  const width = size(raw, 'hidden_size', name)
  return {
    layers: size(raw, 'num_hidden_layers', name),
    width,
    hidden: size(raw, 'intermediate_size', name),
    heads,
    kvHeads: size({ num_key_value_heads: heads, ...raw }, 'num_key_value_heads', name),
    headSize: size({ head_dim: width / heads, ...raw }, 'head_dim', name),
    vocabulary: size(raw, 'vocab_size', name),
  }
}

function section(config: Config, key: string): Config {
  const value = config[key]
  return typeof value === 'object' && value !== null ? (value as Config) : {}
}

function size(config: Config, key: string, name: string): number {
  const value = config[key]
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw new ModelError(`${name}: config.json says ${JSON.stringify(value) ?? 'nothing'} for ${key}, expected a number`)
}
