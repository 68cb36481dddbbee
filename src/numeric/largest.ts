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

/** Elementwise maximum in place: `values[i] = max(values[i], others[i])`. */
export function raiseTo(values: Float32Array, others: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if ((others[i] as number) > (values[i] as number)) values[i] = others[i] as number
  }
}
