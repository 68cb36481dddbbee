import { ModelError } from '../errors.js'
import type { Encoder } from './encoder.js'
import { fusedQueryKey } from './fused.js'
import type { GraphPatch } from './graph-patch.js'
import { validKeys, type KeyMask } from './masks.js'
import { quote } from './model-reader.js'
import { attentionRow, receivedInBlocks } from './recompute.js'
import type { AttentionSite } from './sites.js'
import { reduce, slice, toFloat } from './verbs.js'

/**
 * Attention received per key, [batch, keys] float32: the mean over heads and over valid queries of the probabilities
 * (SPEC 1). A query is valid when its own position is visible to anybody: padded patches are hidden as keys.
 */
export function receivedOverKeys(encoder: Encoder, patch: GraphPatch, site: AttentionSite): string {
  if (site.probabilities === undefined) {
    return reduce(patch, 'Mean', receivedInBlocks(patch, fusedQueryKey(encoder, patch, site)), [1, 2], false)
  }
  const probabilities = toFloat(patch, site.probabilities)
  const rank = rankOf(encoder, site)
  const valid = validKeys(patch, siteMasks(encoder, site), rank)
  const perHead = valid === undefined ? probabilities : meanOverValid(patch, probabilities, valid)
  return meanOverHeads(encoder, patch, site, perHead, rank)
}

/** The attention of one query, [batch, keys] float32, mean over heads. */
export function attentionOfQuery(encoder: Encoder, patch: GraphPatch, site: AttentionSite, query: number): string {
  if (site.probabilities === undefined) {
    return reduce(patch, 'Mean', attentionRow(patch, fusedQueryKey(encoder, patch, site), query), [1, 2], false)
  }
  const row = slice(patch, site.probabilities, -2, query, query + 1)
  return meanOverHeads(encoder, patch, site, toFloat(patch, row), rankOf(encoder, site))
}

/** [batch, heads, any, keys] -> [batch, keys]; without a batch axis of its own, heads come in groups of the head count. */
function meanOverHeads(encoder: Encoder, patch: GraphPatch, site: AttentionSite, value: string, rank: number): string {
  if (rank === 4) return reduce(patch, 'Mean', value, [1, 2], false)
  const perHead = reduce(patch, 'Mean', value, [1], false) // [batch * heads, keys]
  const length = slice(patch, patch.node('Shape', [perHead]), 0, 1, 2)
  const shape = patch.node('Concat', [patch.integers([-1, headCount(encoder, site)]), length], { axis: 0 })
  return reduce(patch, 'Mean', patch.node('Reshape', [perHead, shape]), [1], false)
}

/** Number of heads, from the shapes around the attention; undefined when they do not tell. */
export function findHeadCount(encoder: Encoder, site: AttentionSite): number | undefined {
  const shape = encoder.shapes.of(site.probabilities ?? site.query ?? '')
  if (shape?.length === 4) return shape[1] ?? undefined
  for (const node of encoder.graph.consumers.get(site.output) ?? []) {
    const split = node.opType === 'Reshape' ? encoder.shapes.of(node.outputs[0] ?? '') : undefined
    if (split?.length === 4 && split[1] != null) return split[1]
  }
  return shape?.length === 3 ? (shape[0] ?? undefined) : undefined
}

export function headCount(encoder: Encoder, site: AttentionSite): number {
  const heads = findHeadCount(encoder, site)
  if (heads !== undefined) return heads
  throw new ModelError(`attention at ${quote(site.node.name)}: the number of heads cannot be told from the graph`)
}

function rankOf(encoder: Encoder, site: AttentionSite): number {
  const rank = encoder.shapes.of(site.probabilities ?? '')?.length
  if (rank === 3 || rank === 4) return rank
  throw new ModelError(
    `attention at ${quote(site.node.name)}: probabilities of rank ${String(rank ?? 'unknown')}, allowed: 3 or 4`,
  )
}

function siteMasks(encoder: Encoder, site: AttentionSite): KeyMask[] {
  return site.masks.map(({ value, kind }) => {
    const shape = encoder.shapes.of(value)
    if (!shape) throw new ModelError(`attention mask ${quote(value)}: its rank cannot be told from the graph`)
    return { value, kind, shape }
  })
}

/** Rows of invalid queries get weight 0: valid [.., 1, queries] times probabilities [.., queries, keys], over their number. */
function meanOverValid(patch: GraphPatch, probabilities: string, valid: string): string {
  const sum = patch.node('MatMul', [valid, probabilities])
  return patch.node('Div', [sum, reduce(patch, 'Sum', valid, [-1], true)])
}
