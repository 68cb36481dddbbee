/** Rounds half to even, as Python's `round` does: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2. The paper's counts depend on it. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}
