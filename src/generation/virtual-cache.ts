import { Tensor, type DynamicCache } from '@huggingface/transformers'

/**
 * A KV cache that holds fewer tokens than the conversation has. `generate()` slices multi-turn prompts and computes rope
 * positions by the cache's length, so the cache reports the unpruned one; attention masks need the true one.
 */
interface CacheState {
  /** Visual tokens that never entered the cache. */
  removed: number
  /** int64 `[B, length]`: attention mask of the true cache positions known so far; later positions are all 1. */
  mask: Tensor
}

const states = new WeakMap<DynamicCache, CacheState>()

/** Number of tokens whose keys and values are really stored. */
export function trueLength(cache: DynamicCache | null | undefined): number {
  if (!cache) return 0
  const prototype = Object.getPrototypeOf(cache) as { get_seq_length(): number }
  return prototype.get_seq_length.call(cache)
}

/** Whether a prompt with dropped visual tokens went into this cache. */
export function isVirtual(cache: DynamicCache | null | undefined): cache is DynamicCache {
  return cache != null && states.has(cache)
}

/**
 * Remembers that `removed` tokens were left out of a prompt that has just entered the cache.
 *
 * @param mask int64 `[B, true length]`, the attention mask over the whole cache.
 */
export function recordRemoved(cache: DynamicCache, removed: number, mask: Tensor): void {
  const before = states.get(cache)?.removed ?? 0
  states.set(cache, { removed: before + removed, mask })
  Object.defineProperty(cache, 'get_seq_length', {
    value: () => trueLength(cache) + (states.get(cache)?.removed ?? 0),
    // The library walks the cache's enumerable properties and takes each for a tensor.
    enumerable: false,
    configurable: true,
    writable: true,
  })
}

/**
 * The attention mask over the true cache and the new tokens.
 *
 * @param given int64 `[B, S]` or wider, the caller's mask of the unpruned conversation.
 * @param fresh int64 `[B, n]`, mask of the tokens that enter now.
 * @param removed How many new tokens pruning left out of `fresh`.
 */
export function maskWithCache(
  cache: DynamicCache | null | undefined,
  given: Tensor,
  fresh: Tensor,
  removed: number,
): Tensor {
  const past = trueLength(cache)
  if (past === 0) return fresh
  const [batch, width] = fresh.dims as [number, number]
  // Without pruning so far, the caller's own mask tells which cached positions are padding.
  const known = (cache && states.get(cache)?.mask) ?? (given.dims[1] === past + width + removed ? given : undefined)
  const target = new BigInt64Array(batch * (past + width)).fill(1n)
  for (let row = 0; row < batch; row++) {
    const start = row * (past + width)
    if (known) target.set(columns(known, row, 0, Math.min(past, known.dims[1] as number)), start)
    target.set(columns(fresh, row, 0, width), start + past)
  }
  return new Tensor('int64', target, [batch, past + width])
}

/** int64 `[B, count]`: the last columns of a mask. */
export function lastColumns(mask: Tensor, count: number): Tensor {
  const [batch, width] = mask.dims as [number, number]
  const target = new BigInt64Array(batch * count)
  for (let row = 0; row < batch; row++) target.set(columns(mask, row, width - count, width), row * count)
  return new Tensor('int64', target, [batch, count])
}

function columns(mask: Tensor, row: number, from: number, to: number): BigInt64Array {
  const width = mask.dims[1] as number
  return (mask.data as BigInt64Array).subarray(row * width + from, row * width + to)
}
