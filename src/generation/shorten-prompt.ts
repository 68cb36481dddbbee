import { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'

/** A prompt without the placeholders of dropped visual tokens: every row may keep another number of them. */
export interface ShortenedPrompt {
  /** int64 `[B, T']`, rows left-padded to the longest. */
  readonly input_ids: Tensor
  /** int64 `[B, T']`. */
  readonly attention_mask: Tensor
  /** int64 `[3, B, T']`, of models whose kept tokens keep their positions. */
  readonly position_ids?: Tensor
}

/** Positions of placeholders in each row of `input_ids` `[B, T]`. */
export function imagePositions(input_ids: Tensor, placeholderIds: readonly number[]): number[][] {
  const [batch, length] = input_ids.dims as [number, number]
  const ids = input_ids.data as BigInt64Array
  const wanted = placeholderIds.map(BigInt)
  return Array.from({ length: batch }, (_, row) => {
    const positions: number[] = []
    for (let i = 0; i < length; i++) if (wanted.includes(ids[row * length + i] as bigint)) positions.push(i)
    return positions
  })
}

/**
 * Drops the placeholders of visual tokens that were not kept (SPEC 4); text, padding and kept placeholders stay in order.
 *
 * @param positions Per row where placeholders stand.
 * @param kept Per row which of them stay: ascending indices into `positions[row]`.
 * @param position_ids int64 `[3, B, T]` of models whose kept tokens keep their positions.
 */
export function shortenPrompt(
  input_ids: Tensor,
  attention_mask: Tensor,
  positions: readonly number[][],
  kept: readonly number[][],
  position_ids?: Tensor,
): ShortenedPrompt {
  const [batch, length] = input_ids.dims as [number, number]
  if (attention_mask.dims[0] !== batch || (attention_mask.dims[1] ?? 0) < length) {
    throw new ModelError(
      `attention_mask [${attention_mask.dims.join(', ')}] does not cover input_ids [${batch}, ${length}]`,
    )
  }
  const stay = positions.map((places, row) => positionsThatStay(length, places, kept[row] as number[]))
  const longest = Math.max(...stay.map((row) => row.length))
  const shorter = (source: Tensor, axes = 1) => {
    const width = source.dims.at(-1) as number
    const target = new BigInt64Array(axes * batch * longest)
    for (let line = 0; line < axes * batch; line++) {
      const row = stay[line % batch] as number[]
      const start = (line + 1) * longest - row.length
      row.forEach((position, i) => {
        // A mask that also covers cached tokens is longer: its last `length` columns belong to these ids.
        target[start + i] = (source.data as BigInt64Array)[line * width + width - length + position] as bigint
      })
    }
    return new Tensor('int64', target, [...source.dims.slice(0, -1), longest])
  }
  const prompt = { input_ids: shorter(input_ids), attention_mask: shorter(attention_mask) }
  return position_ids ? { ...prompt, position_ids: shorter(position_ids, position_ids.dims[0]) } : prompt
}

function positionsThatStay(length: number, placeholders: readonly number[], kept: readonly number[]): number[] {
  const dropped = new Set(placeholders)
  for (const index of kept) dropped.delete(placeholders[index] as number)
  return Array.from({ length }, (_, position) => position).filter((position) => !dropped.has(position))
}
