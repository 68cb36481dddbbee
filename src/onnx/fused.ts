import { ModelError } from '../errors.js'
import { attribute, intAttribute } from './attributes.js'
import type { Encoder } from './encoder.js'
import { constantTensor } from './graph.js'
import type { GraphPatch } from './graph-patch.js'
import type { KeyMask } from './masks.js'
import { quote, type OnnxNode } from './model-reader.js'
import type { QueryKey } from './recompute.js'
import type { AttentionSite, Mask } from './sites.js'
import { isBoolean } from './value-types.js'
import { slice, squeeze, toFloat, unsqueeze } from './verbs.js'

/**
 * The queries, keys and masks of a fused attention operator, rebuilt from its inputs so that its probabilities can be
 * computed again: com.microsoft Attention, QAttention and MultiHeadAttention, and ai.onnx Attention (opset 23 and later).
 */
export function fusedQueryKey(encoder: Encoder, patch: GraphPatch, site: AttentionSite): QueryKey {
  const build = builders[site.pattern]
  if (!build) throw refuse(site.node, `the operator ${site.pattern}`, 'export the encoder without attention fusion')
  const flags = ['is_causal', 'unidirectional', 'do_rotary'].find(
    (name) => intAttribute(encoder.graph.model, site.node, name, 0) !== 0,
  )
  if (flags !== undefined) throw refuse(site.node, `${flags} = 1`, 'encoders of images attend in all directions')
  return build(encoder, patch, site.node)
}

/** True for patterns whose probabilities can be had: Softmax graphs and the operators that are rebuilt here. */
export function canTap(pattern: string): boolean {
  return pattern === 'softmax' || pattern in builders
}

/** Mask inputs of the fused operators, by position. */
export function hasMaskInput(site: AttentionSite): boolean {
  const positions = site.pattern.includes('Multi')
    ? [4, 5]
    : site.pattern === 'Attention'
      ? [3]
      : site.pattern.includes('Q')
        ? [5]
        : [3, 5]
  return site.pattern !== 'softmax' && positions.some((i) => Boolean(site.node.inputs[i]))
}

type Builder = (encoder: Encoder, patch: GraphPatch, node: OnnxNode) => QueryKey

const builders: Readonly<Record<string, Builder>> = {
  'com.microsoft.Attention': packedWeights,
  'com.microsoft.QAttention': quantisedPackedWeights,
  'com.microsoft.MultiHeadAttention': multiHeadAttention,
  Attention: standardAttention,
}

/** Inputs: input, weights [width, 3 * hidden], bias, mask_index, past, attention_bias. */
function packedWeights(encoder: Encoder, patch: GraphPatch, node: OnnxNode): QueryKey {
  const [input = '', weights = '', bias = '', maskIndex = '', past = '', attentionBias = ''] = node.inputs
  if (past !== '') throw refuse(node, 'a past state', 'encoders of images have none')
  const columns = queryKeyColumns(encoder, node, weights)
  const projection = {
    input,
    weights: slice(patch, weights, 1, 0, columns),
    bias: bias && slice(patch, bias, 0, 0, columns),
  }
  const masks = [...keyMask(encoder, patch, node, maskIndex), ...addedMask(encoder, attentionBias)]
  return splitProjection(encoder, patch, node, projection, masks)
}

/** Inputs: input, weight, bias, input_scale, weight_scale, mask_index, input_zero_point, weight_zero_point. */
function quantisedPackedWeights(encoder: Encoder, patch: GraphPatch, node: OnnxNode): QueryKey {
  const [
    input = '',
    weights = '',
    bias = '',
    inputScale = '',
    weightScale = '',
    maskIndex = '',
    inputZero = '',
    weightZero = '',
  ] = node.inputs
  const columns = queryKeyColumns(encoder, node, weights)
  const floatInput = dequantise(patch, input, inputScale, inputZero)
  const floatWeights = slice(patch, dequantise(patch, weights, weightScale, weightZero), 1, 0, columns)
  const projection = { input: floatInput, weights: floatWeights, bias: bias && slice(patch, bias, 0, 0, columns) }
  return splitProjection(encoder, patch, node, projection, keyMask(encoder, patch, node, maskIndex))
}

/** Per-tensor scales are scalars or vectors of one; per-column scales run along axis 1. */
function dequantise(patch: GraphPatch, value: string, scale: string, zeroPoint: string): string {
  const inputs = zeroPoint === '' ? [value, scale] : [value, scale, zeroPoint]
  return patch.node('DequantizeLinear', inputs, { axis: 1 })
}

/** Queries and keys are the first two thirds of the packed weights, unless the sizes are given. */
function queryKeyColumns(encoder: Encoder, node: OnnxNode, weights: string): number {
  const sizes = attribute(encoder.graph.model, node, 'qkv_hidden_sizes')?.ints ?? []
  const [query = 0, key = 0] = sizes
  if (sizes.length > 0 && query !== key)
    throw refuse(node, 'queries and keys of different widths', 'equal widths are needed')
  const columns = constantTensor(encoder.graph, weights)?.dims[1] ?? encoder.shapes.of(weights)?.[1]
  if (columns == null || (sizes.length === 0 && columns % 3 !== 0))
    throw refuse(node, 'weights of unknown width', 'stored weights are needed')
  return sizes.length > 0 ? query * 2 : (columns / 3) * 2
}

interface Projection {
  readonly input: string
  /** [width, 2 * hidden] */
  readonly weights: string
  readonly bias: string
}

function splitProjection(
  encoder: Encoder,
  patch: GraphPatch,
  node: OnnxNode,
  { input, weights, bias }: Projection,
  masks: KeyMask[],
): QueryKey {
  const product = patch.node('MatMul', [input, weights])
  const projected = toFloat(patch, bias === '' ? product : patch.node('Add', [product, bias]))
  const shape = patch.integers([0, 0, 2, numHeads(encoder, node), -1]) // [batch, tokens, query | key, heads, head size]
  const split = patch.node('Transpose', [patch.node('Reshape', [projected, shape])], { perm: [2, 0, 3, 1, 4] })
  const part = (index: number): string => squeeze(patch, slice(patch, split, 0, index, index + 1), [0])
  return finish(encoder, patch, node, part(0), part(1), masks)
}

/** Inputs: query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value. */
function multiHeadAttention(encoder: Encoder, patch: GraphPatch, node: OnnxNode): QueryKey {
  const [query = '', key = '', , bias = '', paddingMask = '', attentionBias = '', past = ''] = node.inputs
  if (past !== '') throw refuse(node, 'a past state', 'encoders of images have none')
  const masks = [...keyMask(encoder, patch, node, paddingMask), ...addedMask(encoder, attentionBias)]
  const heads = numHeads(encoder, node)
  const packed = key === '' || rankOf(encoder, node, query) === 5
  if (packed) {
    const [first, second] = unpack(patch, query, bias, heads)
    return finish(encoder, patch, node, first, second, masks)
  }
  const queries = splitHeads(
    patch,
    addBias(patch, query, bias, 0, bias === '' ? 0 : biasWidth(encoder, node, bias)),
    heads,
  )
  const keys = multiHeadKeys(encoder, patch, node, key, bias, heads)
  return finish(encoder, patch, node, queries, keys, masks)
}

/** Keys come as [batch, tokens, width], packed with the values [batch, tokens, heads, 2, size], or split into heads. */
function multiHeadKeys(
  encoder: Encoder,
  patch: GraphPatch,
  node: OnnxNode,
  key: string,
  bias: string,
  heads: number,
): string {
  const rank = rankOf(encoder, node, key)
  if (rank === 4) return toFloat(patch, key)
  if (rank === 5)
    return toFloat(
      patch,
      patch.node('Transpose', [squeeze(patch, slice(patch, key, 3, 0, 1), [3])], { perm: [0, 2, 1, 3] }),
    )
  const width = bias === '' ? 0 : biasWidth(encoder, node, bias)
  return splitHeads(patch, addBias(patch, key, bias, width, width), heads)
}

/** Packed queries, keys and values: [batch, tokens, heads, 3, head size] -> queries and keys [batch, heads, tokens, size]. */
function unpack(patch: GraphPatch, packed: string, bias: string, heads: number): [string, string] {
  const moved = patch.node('Transpose', [toFloat(patch, packed)], { perm: [3, 0, 2, 1, 4] })
  const part = (index: number): string => {
    const split = squeeze(patch, slice(patch, moved, 0, index, index + 1), [0])
    if (bias === '') return split
    const biases = patch.node('Reshape', [toFloat(patch, bias), patch.integers([3, heads, 1, -1])])
    return patch.node('Add', [split, slice(patch, biases, 0, index, index + 1)])
  }
  return [part(0), part(1)]
}

/** The bias holds the queries', the keys' and the values' part, one after the other; the first two are equally wide. */
function biasWidth(encoder: Encoder, node: OnnxNode, bias: string): number {
  const query = encoder.shapes.of(node.inputs[0] ?? '')?.at(-1)
  const width = query ?? (encoder.shapes.of(bias)?.[0] ?? 0) / 3
  if (!Number.isInteger(width) || width <= 0)
    throw refuse(node, 'a bias of unknown width', 'the width of the queries is needed')
  return width
}

function addBias(patch: GraphPatch, value: string, bias: string, from: number, width: number): string {
  return bias === '' ? value : patch.node('Add', [value, slice(patch, bias, 0, from, from + width)])
}

/** [batch, tokens, heads * size] -> [batch, heads, tokens, size], float32. */
function splitHeads(patch: GraphPatch, value: string, heads: number): string {
  const split = patch.node('Reshape', [toFloat(patch, value), patch.integers([0, 0, heads, -1])])
  return patch.node('Transpose', [split], { perm: [0, 2, 1, 3] })
}

/** Inputs: Q, K, V, attn_mask, past_key, past_value, nonpad_kv_seqlen; rank 4 or, with head counts, rank 3. */
function standardAttention(encoder: Encoder, patch: GraphPatch, node: OnnxNode): QueryKey {
  const [query = '', key = '', , mask = '', past = '', , lengths = ''] = node.inputs
  if (past !== '' || lengths !== '') throw refuse(node, 'a key-value cache', 'encoders of images have none')
  const heads = (name: string): number => intAttribute(encoder.graph.model, node, name, 0)
  const split = (value: string, count: number): string =>
    rankOf(encoder, node, value) === 4 ? toFloat(patch, value) : splitHeads(patch, value, count)
  const [queryHeads, keyHeads] = [query, key].map((value) => encoder.shapes.of(value)?.[1] ?? null)
  const grouped =
    rankOf(encoder, node, query) === 4
      ? queryHeads !== keyHeads && queryHeads !== null && keyHeads !== null
      : heads('q_num_heads') !== heads('kv_num_heads')
  if (grouped) throw refuse(node, 'fewer key heads than query heads', 'equal numbers are needed')
  const masks = mask === '' ? [] : [shaped(encoder, node, mask, isBoolean(encoder.graph, mask) ? 'visible' : 'added')]
  return finish(encoder, patch, node, split(query, heads('q_num_heads')), split(key, heads('kv_num_heads')), masks)
}

/** Scales the queries and turns the keys, both once and outside the loop over blocks. */
function finish(
  encoder: Encoder,
  patch: GraphPatch,
  node: OnnxNode,
  query: string,
  key: string,
  masks: KeyMask[],
): QueryKey {
  const { model } = encoder.graph
  return {
    query: patch.node('Mul', [query, scaleOf(encoder, patch, node, query)]),
    keyTransposed: patch.node('Transpose', [key], { perm: [0, 1, 3, 2] }),
    masks,
    softCap: attribute(model, node, 'softcap')?.float ?? 0,
  }
}

/** The declared scale, or one over the square root of the head size. */
function scaleOf(encoder: Encoder, patch: GraphPatch, node: OnnxNode, query: string): string {
  const declared = attribute(encoder.graph.model, node, 'scale')?.float ?? 0
  if (declared !== 0) return patch.floats(declared)
  const size = toFloat(patch, slice(patch, patch.node('Shape', [query]), 0, 3, 4))
  return patch.node('Reciprocal', [patch.node('Sqrt', [size])])
}

/**
 * com.microsoft's integer masks: [batch, keys] and [batch, queries, keys] with 1 for visible keys, or [batch] with the number
 * of visible keys.
 */
function keyMask(encoder: Encoder, patch: GraphPatch, node: OnnxNode, mask: string): KeyMask[] {
  if (mask === '') return []
  const shape = encoder.shapes.of(mask)
  if (shape?.length === 2)
    return [
      { value: unsqueeze(patch, mask, [1, 2]), kind: 'visible', shape: [shape[0] ?? null, 1, 1, shape[1] ?? null] },
    ]
  if (shape?.length === 3)
    return [{ value: unsqueeze(patch, mask, [1]), kind: 'visible', shape: [shape[0] ?? null, 1, ...shape.slice(1)] }]
  throw refuse(node, `a key mask of rank ${String(shape?.length ?? 'unknown')}`, 'rank 2 or 3 is needed')
}

function addedMask(encoder: Encoder, bias: string): KeyMask[] {
  if (bias === '') return []
  return [{ value: bias, kind: 'added', shape: encoder.shapes.of(bias) ?? [null, null, null, null] }]
}

function shaped(encoder: Encoder, node: OnnxNode, value: string, kind: Mask['kind']): KeyMask {
  const shape = encoder.shapes.of(value)
  if (!shape) throw refuse(node, `a mask ${quote(value)} of unknown rank`, 'its shape must be told by the graph')
  return { value, kind, shape }
}

function numHeads(encoder: Encoder, node: OnnxNode): number {
  const heads = intAttribute(encoder.graph.model, node, 'num_heads', 0)
  if (heads < 1) throw refuse(node, `num_heads = ${heads}`, 'at least 1 is needed')
  return heads
}

function rankOf(encoder: Encoder, node: OnnxNode, value: string): number {
  const rank = encoder.shapes.of(value)?.length
  if (rank === undefined)
    throw refuse(node, `an input ${quote(value)} of unknown rank`, 'its shape must be told by the graph')
  return rank
}

function refuse(node: OnnxNode, got: string, advice: string): ModelError {
  return new ModelError(`attention at ${quote(node.name)} has ${got}, which cannot be tapped; ${advice}`)
}
