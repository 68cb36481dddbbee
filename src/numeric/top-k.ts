/**
 * Indices of the `k` largest scores, best first; of equal scores the lower index wins.
 *
 * @param scores `[N]`, finite.
 * @param k How many; more than there are candidates gives all of them.
 * @param taken `[N]`, optional: indices whose entry is not 0 are passed over.
 */
export function topK(scores: ArrayLike<number>, k: number, taken?: Uint8Array): Uint32Array {
  const candidates = new Uint32Array(scores.length)
  let count = 0
  for (let i = 0; i < scores.length; i++) if (!taken || taken[i] === 0) candidates[count++] = i
  const order = candidates.subarray(0, count)
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
  return order.slice(0, Math.max(0, k))
}
