import { ModelError } from '../errors.js'
import type { Encoder } from './encoder.js'
import { dataTypes, type GraphPatch } from './graph-patch.js'
import { quote } from './model-reader.js'
import type { AttentionSite, Mask } from './sites.js'
import { cast, reduce, toFloat } from './verbs.js'

/** Scores at or below this hide a key: masks hold -1e4, the lowest finite number or minus infinity. */
const hiddenBelow = -1000

/**
 * Attention received per key, [batch, keys] float32: the mean over heads and over valid queries of the probabilities
 * (SPEC 1). A query is valid when its own position is visible to anybody: padded patches are hidden as keys.
 */
export function receivedOverKeys(encoder: Encoder, patch: GraphPatch, site: AttentionSite): string {
  const probabilities = toFloat(patch, probabilitiesOf(site))
  const rank = rankOf(encoder, site)
  const valid = validKeys(encoder, patch, site.masks, rank)
  const perHead = valid === undefined ? probabilities : meanOverValid(patch, probabilities, valid)
  return meanOverHeads(encoder, patch, site, perHead, rank)
}

/** [batch, heads, any, keys] -> [batch, keys]; without a batch axis of its own, heads come in groups of the head count. */
export function meanOverHeads(
  encoder: Encoder,
  patch: GraphPatch,
  site: AttentionSite,
  value: string,
  rank: number,
): string {
  if (rank === 4) return reduce(patch, 'Mean', value, [1, 2], false)
  const perHead = reduce(patch, 'Mean', value, [1], false) // [batch * heads, keys]
  const length = patch.node('Slice', [patch.node('Shape', [perHead]), patch.integers([1]), patch.integers([2])])
  const shape = patch.node('Concat', [patch.integers([-1, headCount(encoder, site)]), length], { axis: 0 })
  return reduce(patch, 'Mean', patch.node('Reshape', [perHead, shape]), [1], false)
}

/** Number of heads, from the shapes around the attention; undefined when they do not tell. */
export function findHeadCount(encoder: Encoder, site: AttentionSite): number | undefined {
  const shape = encoder.shapes.of(site.probabilities ?? site.query ?? '')
  if (shape?.length === 4) return shape[1] ?? undefined
  for (const node of encoder.graph.consumers.get(site.output) ?? []) {
    const split = node.opType === 'Reshape' ? encoder.shapes.of(node.outputs[0] ?? '') : undefined
    if (split?.length === 4 && split[1] !== null) return split[1]
  }
  return shape?.length === 3 ? (shape[0] ?? undefined) : undefined
}

function headCount(encoder: Encoder, site: AttentionSite): number {
  const heads = findHeadCount(encoder, site)
  if (heads === undefined)
    throw new ModelError(`attention at ${quote(site.node.name)}: the number of heads cannot be told from the graph`)
  return heads
}

function probabilitiesOf(site: AttentionSite): string {
  if (site.probabilities !== undefined) return site.probabilities
  throw new ModelError(
    `attention at ${quote(site.node.name)} is the fused operator ${site.pattern}, which returns no probabilities; export the encoder without attention fusion`,
  )
}

function rankOf(encoder: Encoder, site: AttentionSite): number {
  const rank = encoder.shapes.of(site.probabilities ?? '')?.length
  if (rank === 3 || rank === 4) return rank
  throw new ModelError(
    `attention at ${quote(site.node.name)}: probabilities of rank ${String(rank ?? 'unknown')}, allowed: 3 or 4`,
  )
}

/** Rows of invalid queries get weight 0: valid [.., 1, queries] times probabilities [.., queries, keys], over their number. */
function meanOverValid(patch: GraphPatch, probabilities: string, valid: string): string {
  const sum = patch.node('MatMul', [valid, probabilities])
  return patch.node('Div', [sum, reduce(patch, 'Sum', valid, [-1], true)])
}

/** 1 for keys that any query sees, 0 for hidden ones, [batch, 1, 1, keys]; undefined when nothing is masked. */
export function validKeys(
  encoder: Encoder,
  patch: GraphPatch,
  masks: readonly Mask[],
  rank: number,
): string | undefined {
  const parts = masks
    .filter((mask) => encoder.shapes.of(mask.value)?.at(-1) !== 1)
    .map((mask) => visibleKeys(encoder, patch, mask, rank))
  return parts.length === 0 ? undefined : parts.reduce((a, b) => patch.node('Mul', [a, b]))
}

function visibleKeys(encoder: Encoder, patch: GraphPatch, mask: Mask, rank: number): string {
  const maskRank = encoder.shapes.of(mask.value)?.length
  if (maskRank === undefined || maskRank > rank) {
    throw new ModelError(
      `attention mask ${quote(mask.value)}: rank ${String(maskRank ?? 'unknown')}, allowed: up to ${rank}`,
    )
  }
  const strength = maskStrength(patch, mask)
  const axes = Array.from({ length: maskRank }, (_, i) => i).filter((i) => i + rank - maskRank > 0 && i < maskRank - 1)
  const best = axes.length > 0 ? reduce(patch, 'Max', strength, axes, true) : strength
  return toFloat(patch, patch.node('Greater', [best, patch.floats(mask.kind === 'added' ? hiddenBelow : 0.5)]))
}

function maskStrength(patch: GraphPatch, mask: Mask): string {
  const value = cast(patch, mask.value, dataTypes.float)
  return mask.kind === 'hidden' ? patch.node('Sub', [patch.floats(1), value]) : value
}
