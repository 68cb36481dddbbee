import { ArgumentError, ModelError } from '../errors.js'
import { pathToFeatures, readEncoder, type Encoder } from './encoder.js'
import { dataTypes, GraphPatch } from './graph-patch.js'
import { receivedOverKeys } from './received.js'
import { replayTokens } from './replay.js'
import type { AttentionSite } from './sites.js'
import { slice, toEnd } from './verbs.js'

/** What `tapAttention` adds. Layers are 1-based, as in the paper. */
export interface TapOptions {
  /** Layers whose received attention is wanted. */
  readonly layers: readonly number[]
}

/**
 * Adds outputs with the attention that every visual token receives. Existing nodes, weights and outputs stay byte for
 * byte what they were; external data files stay valid.
 *
 * Per layer l: `attention_received.<l>` float32 [batch, tokens] (packed encoders without a batch axis, such as
 * Qwen2.5-VL's: [tokens]), the mean over heads and all valid queries (SPEC 1), in the order of the features; and, when
 * the encoder has CLS or register tokens, `attention_prefix.<l>` float32 [batch, prefix tokens] with what they receive.
 *
 * @throws {ArgumentError} for a layer that the encoder does not have
 * @throws {ModelError} for a file or an attention pattern that is not understood
 */
export function tapAttention(bytes: Uint8Array, options: TapOptions): Uint8Array {
  const encoder = readEncoder(bytes)
  const patch = new GraphPatch(encoder.graph.model)
  for (const layer of checkLayers(encoder, 'layers', options.layers)) tapReceived(encoder, patch, layer)
  return patch.apply()
}

/** The wanted layers without repeats, ascending. */
export function checkLayers(encoder: Encoder, argument: string, layers: readonly number[]): number[] {
  const count = encoder.layers.length
  if (count === 0) throw new ModelError('no self-attention over patches found in this graph: it cannot be tapped')
  if (!Array.isArray(layers) || layers.length === 0)
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

/** The features' declared shape without channels; lengths that the file does not fix stay open. */
export function outputDims(encoder: Encoder): (number | null)[] {
  const shape = encoder.shapes.of(encoder.features.name) ?? [null, null, null]
  return shape.slice(0, -1).map((dim, i) => (i === 0 ? dim : null))
}
