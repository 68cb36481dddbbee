import { ModelError } from '../errors.js'
import type { ModelAdapter } from './adapter.js'
import { gemma3 } from './gemma3.js'
import { idefics3 } from './idefics3.js'
import { lfm2Vl } from './lfm2-vl.js'
import { llava } from './llava.js'
import { llavaNext } from './llava-next/index.js'
import { llavaOnevision } from './llava-onevision/index.js'
import { llavaQwen2 } from './llava-qwen2.js'
import { paligemma } from './paligemma.js'
import { qwenVl } from './qwen-vl.js'
import type { ModelConfig, OnnxSession } from './transformers.js'
import { videoLlava } from './video-llava/index.js'

const adapters: readonly ModelAdapter[] = [
  llava,
  llavaOnevision,
  llavaNext,
  videoLlava,
  qwenVl,
  idefics3,
  paligemma,
  gemma3,
  llavaQwen2,
  lfm2Vl,
]

/** Why a known architecture cannot be pruned behind its encoder, by model_type. */
const refusals: Readonly<Record<string, string>> = {
  gemma3n: 'its MobileNet encoder has no self-attention over patches',
  gemma4: 'it has no adapter yet',
  florence2: 'its DaViT encoder attends over windows and channels, not over the token grid',
  fast_vlm: 'its FastViT encoder has stages that are not on the token grid',
  phi3_v: 'its images are merged inside prepare_inputs_embeds, and it has no adapter yet',
  multi_modality: 'its images are merged inside prepare_inputs_embeds, and it has no adapter yet',
}

/**
 * @param sessions Of a model that has been loaded.
 * @throws ModelError for an architecture that cannot be pruned, with the reason.
 */
export function adapterFor(config: ModelConfig, sessions?: Readonly<Record<string, OnnxSession>>): ModelAdapter {
  const adapter = adapters.find(({ modelTypes }) => modelTypes.includes(config.model_type))
  const refusal = adapter?.refuses?.(config, sessions)
  if (adapter && refusal === undefined) return adapter
  const known = adapters.flatMap(({ modelTypes }) => modelTypes).join(', ')
  const reason = refusal ?? refusals[config.model_type] ?? 'it has no adapter'
  throw new ModelError(`model_type "${config.model_type}" cannot be pruned: ${reason} (supported: ${known})`)
}
