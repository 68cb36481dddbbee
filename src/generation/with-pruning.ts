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
  const adapter = adapterFor(target.config, target.sessions)
  if (!target.sessions['vision_encoder'])
    throw new ModelError('this model was loaded without its vision_encoder session')
  const plan = planOf(options)
  unprune(model)
  const forward = target.forward.bind(target)
  const prepare = target.prepare_inputs_for_generation.bind(target)

  const pruned = async (inputs: ModelInputs) => {
    const own = inputs[CALL_OPTIONS] as PruningOptions | undefined
    return await prunedForward(target, adapter, forward, inputs, own ? planOfCall(options, own) : plan)
  }
  // The cache must be ours from the first token on, because it has to report the unpruned length.
  const prepared = (ids: bigint[][], inputs: ModelInputs, config: unknown) => {
    inputs.past_key_values ??= new DynamicCache()
    const { pixel_values } = inputs
    // Qwen-VL drops the images of every prompt that comes with a cache, also those of a new turn.
    return Object.assign(prepare(ids, inputs, config), pixel_values && { pixel_values })
  }
  const restores = [
    overrideOn(target, 'forward', pruned),
    overrideOn(target, 'prepare_inputs_for_generation', prepared),
  ]
  const names = [...(adapter.inputNames ?? []), CALL_OPTIONS].filter((name) => !target.forward_params.includes(name))
  target.forward_params.push(...names)
  undos.set(target, () => {
    for (const restore of restores) restore()
    for (const name of names) target.forward_params.splice(target.forward_params.indexOf(name), 1)
  })
  return model
}

/** Undoes {@link withPruning}: the model answers from all visual tokens again. A model that does not prune is left alone. */
export function unprune<Model>(model: Model): Model {
  undos.get(model as object)?.()
  undos.delete(model as object)
  return model
}

/** How to make each pruning model what it was before. */
const undos = new WeakMap<object, () => void>()

/** Overrides a method on the instance; the result puts back what was there, which usually is nothing but the prototype's. */
function overrideOn(target: VisionLanguageModel, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name)
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false })
  return () => {
    if (before) Object.defineProperty(target, name, before)
    else Reflect.deleteProperty(target, name)
  }
}
