import { ModelError } from '../errors.js'
import { intAttribute } from './attributes.js'
import type { Encoder } from './encoder.js'
import { fusedQueryKey } from './fused.js'
import { constantTensor } from './graph.js'
import type { GraphPatch } from './graph-patch.js'
import { quote } from './model-reader.js'
import type { AttentionSite } from './sites.js'
import { reduce, toFloat } from './verbs.js'

/** Keys of a layer, mean over heads: [batch, keys, head size] float32, without the scale that exporters multiply in. */
export function headMeanKeys(encoder: Encoder, patch: GraphPatch, site: AttentionSite): string {
  const transposed =
    site.probabilities === undefined
      ? fusedQueryKey(encoder, patch, site).keyTransposed
      : softmaxKeys(encoder, patch, site)
  return patch.node('Transpose', [reduce(patch, 'Mean', transposed, [1], false)], { perm: [0, 2, 1] })
}

/** [batch, heads, head size, keys] float32, from the second factor of QK^T. */
function softmaxKeys(encoder: Encoder, patch: GraphPatch, site: AttentionSite): string {
  const key = unscaled(encoder, site.key ?? '')
  const rank = encoder.shapes.of(site.key ?? '')?.length
  if (rank !== 4)
    throw new ModelError(`attention at ${quote(site.node.name)}: keys of rank ${String(rank ?? 'unknown')}, allowed: 4`)
  const product = encoder.graph.consumers.get(site.key ?? '')?.find((node) => node.inputs[1] === site.key)
  const turned = product !== undefined && intAttribute(encoder.graph.model, product, 'transB', 0) === 1
  const value = toFloat(patch, key)
  return turned ? patch.node('Transpose', [value], { perm: [0, 1, 3, 2] }) : value
}

/** Scaled dot products multiply queries and keys by the root of the scale each. */
function unscaled(encoder: Encoder, key: string): string {
  const node = encoder.graph.producers.get(key)
  const [a = '', b = ''] = node?.inputs ?? []
  const isScalar = (name: string): boolean =>
    constantTensor(encoder.graph, name)?.dims.every((dim) => dim === 1) ?? false
  if (node?.opType !== 'Mul') return key
  return isScalar(b) ? a : isScalar(a) ? b : key
}
