import { ArgumentError, ModelError } from '../errors.js'
import { pathToFeatures, readEncoder, type Encoder } from './encoder.js'
import { dataTypes, GraphPatch } from './graph-patch.js'
import { headMeanKeys } from './keys.js'
import { attentionOfQuery, receivedOverKeys } from './received.js'
import { replayTokens } from './replay.js'
import type { AttentionSite } from './sites.js'
import { tokenEffects } from './token-effects.js'
import { slice, toEnd } from './verbs.js'

/** What `tapAttention` adds. Layers are 1-based, as in the paper. */
export interface TapOptions {
  /** Layers whose received attention is wanted. */
  readonly layers: readonly number[]
  /** Layers whose attention of the CLS token is wanted; only for encoders that have one. */
  readonly cls?: readonly number[]
  /** Layers whose keys are wanted; only where one visual token is one patch. */
  readonly keys?: readonly number[]
}

/**
 * Adds outputs with the attention that every visual token receives. Existing nodes, weights and outputs stay byte for
 * byte what they were; external data files stay valid.
 *
 * All outputs are float32 and in the order of the features. Packed encoders without a batch axis, such as Qwen2.5-VL's,
 * return [tokens] instead of [batch, tokens]. For a layer l:
 * - `attention_received.<l>` [batch, tokens]: mean over heads and over all valid queries, CLS included (SPEC 1);
 * - `attention_prefix.<l>` [batch, prefix tokens]: what CLS and register tokens receive, when the encoder has any;
 * - `attention_cls.<l>` [batch, tokens]: mean over heads of the CLS token's attention;
 * - `attention_keys.<l>` [batch, tokens, head size]: keys, mean over heads.
 *
 * @throws {ArgumentError} for a layer or a token that the encoder does not have
 * @throws {ModelError} for a file or an attention pattern that is not understood
 */
export function tapAttention(bytes: Uint8Array, options: TapOptions): Uint8Array {
  const encoder = readEncoder(bytes)
  const patch = new GraphPatch(encoder.graph.model)
  const { cls = [], keys = [] } = options
  const mayBeEmpty = cls.length + keys.length > 0
  for (const layer of checkLayers(encoder, 'layers', options.layers, mayBeEmpty)) tapReceived(encoder, patch, layer)
  for (const layer of checkLayers(encoder, 'cls', cls, true)) tapCls(encoder, patch, layer)
  for (const layer of checkLayers(encoder, 'keys', keys, true)) tapKeys(encoder, patch, layer)
  return patch.apply()
}

/** The wanted layers without repeats, ascending. */
export function checkLayers(
  encoder: Encoder,
  argument: string,
  layers: readonly number[],
  mayBeEmpty = false,
): number[] {
  const count = encoder.layers.length
  if (count === 0) throw new ModelError('no self-attention over patches found in this graph: it cannot be tapped')
  if (!Array.isArray(layers) || (layers.length === 0 && !mayBeEmpty))
    throw new ArgumentError(argument, layers, `a list of layers from 1 to ${count}`)
  const wrong = (layers as readonly unknown[]).find(
    (layer) => !Number.isInteger(layer) || Number(layer) < 1 || Number(layer) > count,
  )
  if (wrong !== undefined) throw new ArgumentError(argument, wrong, `layers from 1 to ${count}`)
  return [...new Set(layers)].sort((a, b) => a - b)
}

/** The site of a 1-based layer. */
export function layerSite(encoder: Encoder, layer: number): AttentionSite {
  const site = encoder.layers[layer - 1]
  if (!site) throw new ArgumentError('layer', layer, `1 to ${encoder.layers.length}`)
  return site
}

/** Scores per key of a layer as scores per visual token; without a way to the features, per patch. */
export function toVisualTokens(encoder: Encoder, patch: GraphPatch, site: AttentionSite, overKeys: string): string {
  const path = pathToFeatures(encoder, site)
  if (path) return replayTokens(encoder, patch, overKeys, path)
  const prefix = encoder.added.prefix ?? 0
  return prefix > 0 ? slice(patch, overKeys, 1, prefix, toEnd) : overKeys
}

function tapReceived(encoder: Encoder, patch: GraphPatch, layer: number): void {
  const site = layerSite(encoder, layer)
  const overKeys = receivedOverKeys(encoder, patch, site)
  const dims = outputDims(encoder)
  patch.output(`attention_received.${layer}`, toVisualTokens(encoder, patch, site, overKeys), dataTypes.float, dims)
  const prefix = encoder.added.prefix
  if (prefix)
    patch.output(`attention_prefix.${layer}`, slice(patch, overKeys, 1, 0, prefix), dataTypes.float, [null, prefix])
}

function tapCls(encoder: Encoder, patch: GraphPatch, layer: number): void {
  if (!encoder.added.prefix) throw new ArgumentError('cls', layer, 'nothing, for this encoder has no CLS token')
  const site = layerSite(encoder, layer)
  const scores = toVisualTokens(encoder, patch, site, attentionOfQuery(encoder, patch, site, 0))
  patch.output(`attention_cls.${layer}`, scores, dataTypes.float, outputDims(encoder))
}

function tapKeys(encoder: Encoder, patch: GraphPatch, layer: number): void {
  const site = layerSite(encoder, layer)
  const path = pathToFeatures(encoder, site)
  const effects = path && tokenEffects(encoder, path)
  if (effects?.patchesPerToken !== 1 || effects.reordered) {
    throw new ArgumentError('keys', layer, 'nothing, for this encoder merges or reorders patches')
  }
  const keys = slice(patch, headMeanKeys(encoder, patch, site), 1, encoder.added.prefix ?? effects.dropped, toEnd)
  patch.output(`attention_keys.${layer}`, keys, dataTypes.float, [null, null, null])
}

/** The features' declared shape without channels; lengths that the file does not fix stay open. */
export function outputDims(encoder: Encoder): (number | null)[] {
  const shape = encoder.shapes.of(encoder.features.name) ?? [null, null, null]
  return shape.slice(0, -1).map((dim, i) => (i === 0 ? dim : null))
}
