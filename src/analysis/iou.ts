/**
 * Intersection over union of chosen tokens with object tokens.
 *
 * @param chosen Token indices without repeats.
 * @param objects `[N]` 1 for each object token.
 */
export function iouOf(chosen: ArrayLike<number>, objects: Uint8Array): number {
  let both = 0
  for (let i = 0; i < chosen.length; i++) if (objects[chosen[i] as number] === 1) both++
  return both / (chosen.length + countOnes(objects) - both)
}

/** The largest IoU that any `count` tokens can have with `numObjects` object tokens. */
export function bestIou(count: number, numObjects: number): number {
  return Math.min(count, numObjects) / Math.max(count, numObjects)
}

/** The mean IoU of `count` tokens drawn at random: the level of a layer that knows nothing of objects. Exact (hypergeometric). */
export function chanceIou(numTokens: number, count: number, numObjects: number): number {
  const total = logChoose(numTokens, count)
  let mean = 0
  for (let both = Math.max(0, count + numObjects - numTokens); both <= Math.min(count, numObjects); both++) {
    const ways = logChoose(numObjects, both) + logChoose(numTokens - numObjects, count - both)
    mean += (Math.exp(ways - total) * both) / (count + numObjects - both)
  }
  return mean
}

export function countOnes(flags: Uint8Array): number {
  let count = 0
  for (let i = 0; i < flags.length; i++) count += flags[i] as number
  return count
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k)
}

const logFactorials = [0]

function logFactorial(n: number): number {
  for (let i = logFactorials.length; i <= n; i++) logFactorials.push((logFactorials[i - 1] as number) + Math.log(i))
  return logFactorials[n] as number
}
