/**
 * Indices of the `k` largest scores, best first; of equal scores the lower index wins.
 *
 * @param scores `[N]`, finite.
 * @param k How many; more than there are candidates gives all of them.
 * @param taken `[N]`, optional: indices whose entry is not 0 are passed over.
 */
export function topK(scores: ArrayLike<number>, k: number, taken?: Uint8Array): Uint32Array {
  return topSet(scores, k, taken).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
}

/**
 * The same indices as {@link topK} in ascending order. O(N): the k-th largest score is found by selection, and nothing is
 * sorted.
 */
export function topSet(scores: ArrayLike<number>, k: number, taken?: Uint8Array): Uint32Array {
  const candidates = candidatesOf(scores, taken)
  const wanted = Math.min(Math.max(0, k), candidates.length)
  if (wanted === 0) return new Uint32Array(0)
  const least = kthLargest(candidates, wanted)
  return indicesFrom(scores, least, wanted, taken)
}

function candidatesOf(scores: ArrayLike<number>, taken?: Uint8Array): Float64Array {
  if (!taken) return new Float64Array(scores)
  const candidates = new Float64Array(scores.length)
  let count = 0
  for (let i = 0; i < scores.length; i++) if (taken[i] === 0) candidates[count++] = scores[i] as number
  return candidates.subarray(0, count)
}

/** All scores above `least`, and of those equal to it the lowest indices, until there are `wanted`. */
function indicesFrom(scores: ArrayLike<number>, least: number, wanted: number, taken?: Uint8Array): Uint32Array {
  let equal = wanted
  for (let i = 0; i < scores.length; i++) if ((!taken || taken[i] === 0) && (scores[i] as number) > least) equal--
  const indices = new Uint32Array(wanted)
  let count = 0
  for (let i = 0; i < scores.length && count < wanted; i++) {
    if (taken && taken[i] !== 0) continue
    const score = scores[i] as number
    if (score > least || (score === least && equal-- > 0)) indices[count++] = i
  }
  return indices
}

/** Hoare's selection; reorders `values`. */
function kthLargest(values: Float64Array, k: number): number {
  let low = 0
  let high = values.length - 1
  while (low < high) {
    const pivot = values[(low + high) >> 1] as number
    let left = low
    let right = high
    while (left <= right) {
      while ((values[left] as number) > pivot) left++
      while ((values[right] as number) < pivot) right--
      if (left > right) break
      const swapped = values[left] as number
      values[left++] = values[right] as number
      values[right--] = swapped
    }
    if (k - 1 <= right) high = right
    else if (k - 1 >= left) low = left
    else break
  }
  return values[k - 1] as number
}
