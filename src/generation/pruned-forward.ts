import { Tensor, type DynamicCache } from '@huggingface/transformers'
import type { ModelAdapter, ModelInputs, ModelOutputs, VisionLanguageModel } from '../models/index.js'
import type { PatchGrid, TokenSelection } from '../pruning/index.js'
import { encodeImages, type EncodedImage } from './encode-images.js'
import { mixGrids } from './mix-grids.js'
import type { PruningPlan, StageEvent } from './options.js'
import { byImage, inOrder, keptPlaceholders, placeImages, type ImagePlace } from './place-images.js'
import { relevanceOf } from './question.js'
import { gatherKept, selectTokens, type PrunableImage } from './select-tokens.js'
import { imagePositions, shortenPrompt } from './shorten-prompt.js'
import { isVirtual, lastColumns, maskWithCache, recordRemoved, trueLength } from './virtual-cache.js'

type Forward = VisionLanguageModel['forward']

/**
 * One forward pass of a pruning model.
 *
 * @param forward The model's own forward pass.
 */
export async function prunedForward(
  model: VisionLanguageModel,
  adapter: ModelAdapter,
  forward: Forward,
  inputs: ModelInputs,
  plan: PruningPlan,
): Promise<ModelOutputs> {
  const positions = imagePositions(inputs.input_ids, placeholderIds(model, adapter))
  // A single token is one that was generated, even when it happens to spell a placeholder.
  const isPrompt = (inputs.input_ids.dims[1] as number) > 1
  const hasNewImages = isPrompt && inputs.pixel_values != null && positions.some(({ length }) => length > 0)
  if (!hasNewImages) return await textForward(forward, inputs, plan)
  return await imageForward(model, adapter, forward, inputs, positions, plan)
}

/**
 * The paper's figure as one function: encode the images, select tokens by the attention inside the encoder, drop the rest
 * from features and prompt, and let the language model prefill what is left.
 */
async function imageForward(
  model: VisionLanguageModel,
  adapter: ModelAdapter,
  forward: Forward,
  inputs: ModelInputs,
  positions: readonly number[][],
  plan: PruningPlan,
): Promise<ModelOutputs> {
  const allGrids = adapter.grids(model.config, inputs)
  const allLayouts = adapter.layouts?.(model.config, inputs) ?? allGrids.map(inOrder)
  const { skip, places } = placeImages(positions, allLayouts, trueLength(inputs.past_key_values) > 0)
  const layouts = allLayouts.slice(skip)
  const earlier = allLayouts.slice(0, skip).reduce((sum, { tiles }) => sum + tiles, 0)
  const encoderGrids = allGrids.slice(earlier)
  const newest = earlier > 0 ? adapter.dropGrids(model.config, inputs, earlier) : inputs
  const visualTokens = encoderGrids.reduce((sum, { rows, columns }) => sum + rows * columns, 0)

  const encoded = await timed(plan, 'encode', visualTokens, () =>
    encodeImages(model, newest, encoderGrids, adapter.encoderRuns?.(model.config, newest)),
  ) // [I, N, D] + scores [I, N]
  const mixed = mixGrids(encoded.images, adapter.mixedGrids?.(model.config, newest))
  const grids = mixed.map(({ grid }) => grid)
  const selections = await timed(plan, 'select', visualTokens, async () => {
    const rowOfGrid = layouts.flatMap(({ tiles }, i) => Array<number>(tiles).fill((places[i] as ImagePlace).row))
    const images = await withRelevance(model, adapter, inputs, rowOfGrid, mixed, plan)
    return selectTokens(images, plan, adapter.tilesPerImage?.(model.config, newest))
  }) // I x K
  announce(plan, grids, selections)

  const chosen = byImage(layouts, selections)
  const kept = keptPlaceholders(positions.length, places, layouts, byImage(layouts, grids), chosen)
  const positionIds = adapter.positions?.(model, inputs)
  const prompt = shortenPrompt(inputs.input_ids, givenMask(inputs), positions, kept, positionIds) // [B, T'], T' = T - N + K
  const tiles = byImage(layouts, mixed)
  const separator = () => adapter.separator?.(model.config) as Float32Array
  const features = gatherKept(tiles, layouts, chosen, encoded.hiddenSize, separator) // [K1 + K2 + ..., D]
  return await timed(plan, 'prefill', prompt.input_ids.dims[1] as number, async () => {
    const text = await model.encode_text({ input_ids: prompt.input_ids })
    // The library's merge knows one placeholder only.
    const input_ids = asImages(prompt.input_ids, placeholderIds(model, adapter))
    const parts = { image_features: features, inputs_embeds: text, ...prompt, input_ids }
    const { inputs_embeds } = model._merge_input_ids_with_image_features(parts)
    return await decode(forward, inputs, { ...prompt, inputs_embeds })
  })
}

/** A forward pass without new images: the next token, or a later turn of the conversation. */
async function textForward(forward: Forward, inputs: ModelInputs, plan: PruningPlan): Promise<ModelOutputs> {
  const { past_key_values, input_ids } = inputs
  const length = input_ids.dims[1] as number
  return await timed(plan, length === 1 ? 'decode' : 'prefill', length, async () => {
    // The library rebuilds masks, and Qwen-VL throws, when an image of an earlier turn comes along.
    if (!isVirtual(past_key_values)) return await forward(withoutImages(inputs))
    const tokens = { input_ids, attention_mask: lastColumns(givenMask(inputs), length) }
    // Positions are given where kept tokens keep theirs; others are counted along the mask.
    const { position_ids } = inputs
    return await decode(forward, inputs, position_ids?.dims.length === 3 ? { ...tokens, position_ids } : tokens)
  })
}

/**
 * The model's own forward pass over tokens that already are embeddings or text, on a cache that may be shorter than the
 * conversation.
 *
 * @param tokens What enters the decoder now; its mask covers these tokens only.
 */
async function decode(
  forward: Forward,
  inputs: ModelInputs,
  tokens: { input_ids: Tensor; attention_mask: Tensor; position_ids?: Tensor; inputs_embeds?: Tensor },
): Promise<ModelOutputs> {
  const { position_ids: _unpruned, past_key_values: cache, ...rest } = withoutImages(inputs)
  const removed = (inputs.input_ids.dims[1] as number) - (tokens.input_ids.dims[1] as number)
  const attention_mask = maskWithCache(cache, givenMask(inputs), tokens.attention_mask, removed)
  const outputs = await forward({ ...rest, ...tokens, attention_mask, ...(cache && { past_key_values: cache }) })
  // A single token adds nothing that the cache does not know: later positions count as attended.
  if (cache && (tokens.input_ids.dims[1] as number) > 1) recordRemoved(cache as DynamicCache, removed, attention_mask)
  return outputs
}

function placeholderIds(model: VisionLanguageModel, adapter: ModelAdapter): readonly number[] {
  const video = adapter.videoTokenId?.(model.config)
  return [adapter.imageTokenId(model.config), ...(video === undefined ? [] : [video])]
}

/** The ids with every placeholder written as the first of them. */
function asImages(input_ids: Tensor, [first, ...others]: readonly number[]): Tensor {
  if (others.length === 0) return input_ids
  const ids = BigInt64Array.from(input_ids.data as BigInt64Array, (id) =>
    others.includes(Number(id)) ? BigInt(first as number) : id,
  )
  return new Tensor('int64', ids, input_ids.dims)
}

function withoutImages(inputs: ModelInputs): ModelInputs {
  const { pixel_values: _pixels, ...rest } = inputs
  return rest as ModelInputs
}

/** Adds each image's similarity to the question of its row, when the method reads it (SPEC 3). */
async function withRelevance(
  model: VisionLanguageModel,
  adapter: ModelAdapter,
  { input_ids }: ModelInputs,
  rowOfGrid: readonly number[],
  images: readonly EncodedImage[],
  plan: PruningPlan,
): Promise<readonly PrunableImage[]> {
  if (!plan.pruner.needs.includes('relevance')) return images
  const rows = (asImages(input_ids, placeholderIds(model, adapter)).tolist() as bigint[][]).map((ids) =>
    ids.map(Number),
  )
  const imageTokenId = adapter.imageTokenId(model.config)
  return await Promise.all(
    images.map(async (image, i) => {
      const ids = rows[rowOfGrid[i] as number] as number[]
      return { ...image, relevance: await relevanceOf(model, plan, ids, imageTokenId, image) }
    }),
  )
}

function givenMask({ attention_mask, input_ids }: ModelInputs): Tensor {
  if (attention_mask) return attention_mask
  const dims = input_ids.dims as number[]
  return new Tensor('int64', new BigInt64Array(input_ids.size).fill(1n), dims)
}

function announce(plan: PruningPlan, grids: readonly PatchGrid[], selections: readonly TokenSelection[]): void {
  const images = grids.map((grid, i) => ({ grid, selection: selections[i] as TokenSelection }))
  plan.onSelection({ method: plan.pruner.name, images })
}

async function timed<T>(
  plan: PruningPlan,
  stage: StageEvent['stage'],
  tokens: number,
  run: () => T | Promise<T>,
): Promise<T> {
  const start = performance.now()
  const result = await run()
  plan.onStage({ stage, durationMs: performance.now() - start, tokens })
  return result
}
