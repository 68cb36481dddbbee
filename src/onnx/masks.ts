import { ModelError } from '../errors.js'
import { dataTypes, type GraphPatch } from './graph-patch.js'
import { quote } from './model-reader.js'
import type { Shape } from './shapes.js'
import type { Mask } from './sites.js'
import { cast, reduce, toFloat } from './verbs.js'

/** A mask with its shape, right-aligned to scores [batch, heads, queries, keys]. */
export interface KeyMask extends Mask {
  readonly shape: Shape
}

/** Scores at or below this hide a key: masks hold -1e4, the lowest finite number or minus infinity. */
const hiddenBelow = -1000

/**
 * 1 for keys that any query sees and 0 for hidden ones, [batch, 1, 1, keys] (or [batch * heads, 1, keys] for scores of
 * rank 3); undefined when nothing is masked. Queries of hidden keys are padding and do not count.
 */
export function validKeys(patch: GraphPatch, masks: readonly KeyMask[], rank: number): string | undefined {
  const parts = masks.filter((mask) => mask.shape.at(-1) !== 1).map((mask) => visibleKeys(patch, mask, rank))
  return parts.length === 0 ? undefined : parts.reduce((a, b) => patch.node('Mul', [a, b]))
}

function visibleKeys(patch: GraphPatch, mask: KeyMask, rank: number): string {
  const maskRank = mask.shape.length
  if (maskRank > rank)
    throw new ModelError(`attention mask ${quote(mask.value)}: rank ${maskRank}, allowed: up to ${rank}`)
  const strength = maskStrength(patch, mask)
  const axes = Array.from({ length: maskRank }, (_, i) => i).filter((i) => i + rank - maskRank > 0 && i < maskRank - 1)
  const best = axes.length > 0 ? reduce(patch, 'Max', strength, axes, true) : strength
  return toFloat(patch, patch.node('Greater', [best, patch.floats(mask.kind === 'added' ? hiddenBelow : 0.5)]))
}

function maskStrength(patch: GraphPatch, mask: Mask): string {
  const value = cast(patch, mask.value, dataTypes.float)
  return mask.kind === 'hidden' ? patch.node('Sub', [patch.floats(1), value]) : value
}
