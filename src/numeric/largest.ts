/** Index of the largest value; of equal values the lowest index. -1 when there are none. */
export function indexOfLargest(values: Float32Array | Float64Array): number {
  let best = -1
  let largest = -Infinity
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (value > largest || best < 0) {
      largest = value
      best = i
    }
  }
  return best
}

/** The largest of the first `count` values; -Infinity of none. */
export function largestOf(values: Float32Array, count: number): number {
  let largest = -Infinity
  for (let i = 0; i < count; i++) if ((values[i] as number) > largest) largest = values[i] as number
  return largest
}

/** Elementwise maximum in place: `values[i] = max(values[i], others[i])`. */
export function raiseTo<T extends Float32Array | Uint16Array>(values: T, others: T): void {
  for (let i = 0; i < values.length; i++) {
    if ((others[i] as number) > (values[i] as number)) values[i] = others[i] as number
  }
}

/**
 * Index of the largest of values of which only upper bounds are known; of equal values the lowest index. The answer is the
 * same as with all values known, but few of them have to be computed.
 *
 * @param bounds `[N]` upper bounds, -Infinity for what is out of the running.
 * @param refresh Writes the value itself to `bounds[i]`.
 */
export function lazyIndexOfLargest(bounds: Float64Array, refresh: (i: number) => void): number {
  let best = indexOfLargest(bounds)
  refresh(best)
  let largest = bounds[best] as number
  for (let i = 0; i < bounds.length; i++) {
    if ((bounds[i] as number) < largest || (bounds[i] === largest && i >= best)) continue
    refresh(i)
    const value = bounds[i] as number
    if (value < largest || (value === largest && i > best)) continue
    largest = value
    best = i
  }
  return best
}
