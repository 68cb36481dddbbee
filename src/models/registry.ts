import { ModelError } from '../errors.js'
import type { ModelAdapter } from './adapter.js'
import { idefics3 } from './idefics3.js'
import { llava } from './llava.js'
import { llavaNext } from './llava-next/index.js'
import { qwenVl } from './qwen-vl.js'
import type { ModelConfig } from './transformers.js'
import { videoLlava } from './video-llava/index.js'

const adapters: readonly ModelAdapter[] = [llava, llavaNext, videoLlava, qwenVl, idefics3]

/** Why a known architecture cannot be pruned behind its encoder, by model_type. */
const refusals: Readonly<Record<string, string>> = {
  gemma3n: 'its MobileNet encoder has no self-attention over patches',
  gemma4: 'it has no adapter yet',
  florence2: 'its DaViT encoder attends over windows and channels, not over the token grid',
  llava_qwen2: 'its encoder may be FastViT, whose stages are not on the token grid, and it has no adapter yet',
  phi3_v: 'its images are merged inside prepare_inputs_embeds, and it has no adapter yet',
  multi_modality: 'its images are merged inside prepare_inputs_embeds, and it has no adapter yet',
}

/** @throws ModelError for an architecture that cannot be pruned, with the reason. */
export function adapterFor(config: ModelConfig): ModelAdapter {
  const adapter = adapters.find(({ modelTypes }) => modelTypes.includes(config.model_type))
  if (adapter) return adapter
  const known = adapters.flatMap(({ modelTypes }) => modelTypes).join(', ')
  const reason = refusals[config.model_type] ?? 'it has no adapter'
  throw new ModelError(`model_type "${config.model_type}" cannot be pruned: ${reason} (supported: ${known})`)
}
