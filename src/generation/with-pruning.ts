import { DynamicCache } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import { adapterFor, type ModelInputs, type VisionLanguageModel } from '../models/index.js'
import { planOf, planOfCall, type PruningOptions } from './options.js'
import { prunedForward } from './pruned-forward.js'

/** Name under which one call of `generate` or `forward` may carry options of its own. */
const CALL_OPTIONS = 'pruning'

/**
 * Makes a Transformers.js vision-language model drop visual tokens before its language model sees them. The model stays the
 * same object: `generate`, streamers, stopping criteria and KV cache reuse work as before, and the returned ids are those of
 * the unpruned prompt. One call can override the options: `model.generate({ ...inputs, pruning: { keep: 64 } })`.
 *
 * @param model A loaded model; methods that read attention need its vision encoder tapped (loadPruned or tapModel do that).
 * @throws ModelError when the architecture cannot be pruned, ArgumentError for a refused option.
 */
export function withPruning<Model>(model: Model, options: PruningOptions = {}): Model {
  const target = model as unknown as VisionLanguageModel
  const adapter = adapterFor(target.config)
  if (!target.sessions['vision_encoder'])
    throw new ModelError('this model was loaded without its vision_encoder session')
  unprune(model)
  const plan = planOf(options)
  const forward = target.forward.bind(target)
  const prepare = target.prepare_inputs_for_generation.bind(target)

  overrideOn(target, 'forward', async (inputs: ModelInputs) => {
    const own = inputs[CALL_OPTIONS] as PruningOptions | undefined
    return await prunedForward(target, adapter, forward, inputs, own ? planOfCall(options, own) : plan)
  })
  // The cache must be ours from the first token on, because it has to report the unpruned length.
  overrideOn(target, 'prepare_inputs_for_generation', (ids: bigint[][], inputs: ModelInputs, config: unknown) => {
    inputs.past_key_values ??= new DynamicCache()
    const { pixel_values } = inputs
    const prepared = prepare(ids, inputs, config)
    // Qwen-VL drops the images of every prompt that comes with a cache, also those of a new turn.
    return Object.assign(prepared, pixel_values && { pixel_values })
  })
  const own = [...(adapter.inputNames ?? []).filter((name) => !target.forward_params.includes(name)), CALL_OPTIONS]
  target.forward_params.push(...own)
  return model
}

/** Undoes {@link withPruning}: the model answers from all visual tokens again. A model that does not prune is left alone. */
export function unprune<Model>(model: Model): Model {
  const target = model as unknown as VisionLanguageModel
  const at = target.forward_params.indexOf(CALL_OPTIONS)
  if (at < 0) return model
  target.forward_params.splice(at, 1)
  // Both live on the prototype; only our overrides are on the instance.
  for (const name of ['forward', 'prepare_inputs_for_generation'] as const) Reflect.deleteProperty(target, name)
  return model
}

function overrideOn(target: VisionLanguageModel, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false })
}
