import { readEncoder, pathToFeatures, type Encoder } from './encoder.js'
import { canTap, hasMaskInput } from './fused.js'
import { constantTensor } from './graph.js'
import type { DeclaredDim, ValueInfo } from './model-reader.js'
import { findPatchConv } from './prefix.js'
import { findHeadCount } from './received.js'
import type { AttentionSite } from './sites.js'
import { tokenEffects } from './token-effects.js'
import { dtypeName, weightsDtype } from './dtypes.js'
import { intAttribute } from './attributes.js'

/** An attention of the encoder. */
export interface AttentionInfo {
  /** 1-based number of the layer, as in the paper; 0 for attention that is no layer. */
  readonly layer: number
  /** `softmax`, or the fused operator, e.g. `com.microsoft.MultiHeadAttention`. */
  readonly pattern: string
  /** Name of the Softmax or fused node in the file. */
  readonly node: string
  readonly heads?: number
  readonly headSize?: number
  /** True when padding or windows keep queries from seeing all keys. */
  readonly masked: boolean
}

/** A graph input, e.g. `pixel_values`. */
export interface EncoderInput {
  readonly name: string
  readonly dtype: string
  /** Lengths; names and null stand for lengths that are known at run time only. */
  readonly shape: readonly DeclaredDim[]
}

export type EncoderFamily = 'clip' | 'siglip' | 'dinov2-like' | 'qwen2_vl' | 'qwen2_5_vl' | 'qwen3_vl' | 'unknown'

/** What can be told about a vision encoder from its file. */
export interface EncoderInfo {
  readonly family: EncoderFamily
  /** Self-attention layers in data-flow order: layer l is `layers[l - 1]`. */
  readonly layers: readonly AttentionInfo[]
  /** Attention that pools or looks elsewhere: no layers. */
  readonly poolingHeads: readonly AttentionInfo[]
  readonly crossAttention: readonly AttentionInfo[]
  /** CLS and register tokens in front of the patches. */
  readonly prefixTokens: number
  readonly hasClsToken: boolean
  /** Visual tokens per tile as rows and columns; absent when the resolution is dynamic. */
  readonly grid?: { readonly rows: number; readonly columns: number }
  /** Patches that one visual token is made of (4 for Qwen's 2 x 2 merge). */
  readonly patchesPerToken: number
  readonly inputs: readonly EncoderInput[]
  /** Side of the square input image in pixels, when the file fixes it. */
  readonly imageSize?: number
  /** Side of a patch in pixels. */
  readonly patchSize?: number
  /** Output with the visual features. */
  readonly featuresOutput: string
  /** Width of the encoder's hidden states. */
  readonly width?: number
  readonly opset: number
  /** `fp32`, `fp16`, `bf16`, `q8`, `q4`, `q4f16`. */
  readonly dtype: string
  /** Bytes of the file; external data is not counted. */
  readonly fileSize: number
  /** Files beside this one that hold weights. */
  readonly externalData: readonly string[]
  /** 1-based default object layer (SPEC 1). 0 when there are no layers. */
  readonly suggestedObjectLayer: number
  /** 1-based deep layer: the last one. */
  readonly deepLayer: number
  /** What could not be understood, one sentence each. Empty when the file can be tapped. */
  readonly problems: readonly string[]
}

/**
 * Describes a vision encoder from its bytes; weights are never decoded.
 * @throws {ModelError} when the bytes are not a usable ONNX model. A model that is merely no vision encoder is described
 *   with `problems`.
 */
export function inspectEncoder(bytes: Uint8Array): EncoderInfo {
  return describeEncoder(readEncoder(bytes))
}

/** The description of an encoder that has been read already. */
export function describeEncoder(encoder: Encoder): EncoderInfo {
  const { graph } = encoder
  const last = encoder.layers.at(-1)
  const path = last && pathToFeatures(encoder, last)
  const effects = path && tokenEffects(encoder, path)
  const patchesPerToken = effects?.patchesPerToken ?? 1
  const prefixTokens = encoder.added.prefix ?? effects?.dropped ?? 0
  const listed = (role: AttentionSite['role']): AttentionInfo[] =>
    encoder.others.filter((site) => site.role === role).map((site) => describe(encoder, site, 0))
  return {
    family: guessFamily(encoder, prefixTokens, effects?.reordered ?? false),
    layers: encoder.layers.map((site, i) => describe(encoder, site, i + 1)),
    poolingHeads: listed('pooling'),
    crossAttention: listed('cross'),
    prefixTokens,
    hasClsToken: prefixTokens > 0,
    ...gridOf(encoder, patchesPerToken),
    patchesPerToken,
    inputs: graph.inputs.map(describeInput),
    ...imageOf(encoder),
    featuresOutput: encoder.features.name,
    ...widthOf(encoder),
    opset: graph.model.opsets.get('') ?? 0,
    dtype: weightsDtype(graph.model),
    fileSize: graph.model.bytes.length,
    externalData: externalFiles(encoder),
    suggestedObjectLayer: suggestObjectLayer(encoder),
    deepLayer: encoder.layers.length,
    problems: findProblems(encoder),
  }
}

/** SPEC 1: layer 9 for CLIP-L, 16 for Qwen2.5-VL, otherwise 0.375 of the depth, rounded half to even. */
function suggestObjectLayer(encoder: Encoder): number {
  const depth = encoder.layers.length
  const { width } = widthOf(encoder)
  if (depth === 0) return 0
  if (width === 1024 && (depth === 23 || depth === 24) && encoder.added.prefix === 1) return 9
  if (depth === 32 && isQwen(encoder)) return 16
  return Math.max(1, roundHalfToEven(0.375 * depth))
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

function describe(encoder: Encoder, site: AttentionSite, layer: number): AttentionInfo {
  const heads = site.pattern === 'softmax' ? findHeadCount(encoder, site) : fusedHeadCount(encoder, site)
  const size = encoder.shapes.of(site.query ?? '')?.at(-1)
  const headSize =
    size == null || heads === undefined ? undefined : site.pattern.includes('MultiHead') ? size / heads : size
  return {
    layer,
    pattern: site.pattern,
    node: site.node.name,
    ...(heads === undefined ? {} : { heads }),
    ...(headSize === undefined ? {} : { headSize }),
    masked: site.masks.length > 0 || hasMaskInput(site),
  }
}

function fusedHeadCount(encoder: Encoder, site: AttentionSite): number | undefined {
  const { model } = encoder.graph
  const declared = intAttribute(model, site.node, 'num_heads', 0) || intAttribute(model, site.node, 'q_num_heads', 0)
  const query = encoder.shapes.of(site.query ?? '')
  return declared || (query?.length === 4 ? (query[1] ?? undefined) : undefined)
}

function describeInput(input: ValueInfo): EncoderInput {
  return { name: input.name, dtype: dtypeName(input.dataType), shape: input.dims ?? [] }
}

function isQwen(encoder: Encoder): boolean {
  return encoder.graph.inputs.some((input) => input.name === 'image_grid_thw')
}

/** CLIP's patch Conv has no bias and SigLIP's has one; DINOv2 has a bias and a CLS token. Of Qwen's, 2.5 alone has windows. */
function guessFamily(encoder: Encoder, prefixTokens: number, reordered: boolean): EncoderFamily {
  if (isQwen(encoder)) return reordered ? 'qwen2_5_vl' : 'qwen3_vl'
  if (encoder.graph.inputs.some((input) => input.name === 'grid_thw')) return 'qwen2_vl'
  const conv = findPatchConv(encoder.graph)
  if (!conv || encoder.layers.length === 0) return 'unknown'
  if (prefixTokens === 0) return conv.hasBias ? 'siglip' : 'unknown'
  if (conv.hasBias) return 'dinov2-like'
  return prefixTokens === 1 ? 'clip' : 'unknown'
}

/** Rows and columns of patches from the patch Conv, divided by the side of a merge. */
function gridOf(encoder: Encoder, patchesPerToken: number): Pick<EncoderInfo, 'grid'> {
  const shape = encoder.shapes.of(findPatchConv(encoder.graph)?.node.outputs[0] ?? '')
  const side = Math.sqrt(patchesPerToken)
  if (shape?.length !== 4 || shape[2] == null || shape[3] == null || !Number.isInteger(side)) return {}
  const [rows, columns] = [shape[2] / side, shape[3] / side]
  return Number.isInteger(rows) && Number.isInteger(columns) ? { grid: { rows, columns } } : {}
}

function imageOf(encoder: Encoder): Pick<EncoderInfo, 'imageSize' | 'patchSize'> {
  const conv = findPatchConv(encoder.graph)?.node
  const patchSize = constantTensor(encoder.graph, conv?.inputs[1] ?? '')?.dims.at(-1)
  const image = encoder.shapes.of(encoder.graph.inputs.find((input) => input.dims?.length === 4)?.name ?? '')
  const imageSize = image?.[2] != null && image[2] === image[3] ? image[2] : undefined
  return { ...(imageSize === undefined ? {} : { imageSize }), ...(patchSize === undefined ? {} : { patchSize }) }
}

/** The patch Conv maps pixels to the hidden width. */
function widthOf(encoder: Encoder): Pick<EncoderInfo, 'width'> {
  const last = encoder.layers.at(-1)
  const path = last && pathToFeatures(encoder, last)
  const width = encoder.shapes.of(path?.start ?? '')?.at(-1)
  return width == null ? {} : { width }
}

function externalFiles(encoder: Encoder): string[] {
  const tensors = [...encoder.graph.model.initializers.values()]
  return [...new Set(tensors.flatMap((tensor) => tensor.externalLocation ?? []))]
}

function findProblems(encoder: Encoder): string[] {
  const { layers, added, graph } = encoder
  const problems: string[] = []
  if (layers.length === 0) problems.push('no self-attention over patches was found')
  if (added.prefix === null) problems.push('the number of CLS or register tokens cannot be told')
  if (added.suffix !== 0) problems.push('the encoder adds tokens behind the patches')
  if (graph.model.functionCount > 0)
    problems.push(`${graph.model.functionCount} model-local functions were not looked into`)
  const unknown = layers.findIndex((site) => !canTap(site.pattern))
  if (unknown >= 0) problems.push(`layer ${unknown + 1} uses ${layers[unknown]?.pattern ?? ''}, which cannot be tapped`)
  const last = layers.at(-1)
  if (last && !pathToFeatures(encoder, last)) {
    problems.push(
      `the way of the tokens to "${encoder.features.name}" is not understood: scores are per patch, not per token`,
    )
  }
  return problems
}
