import { ModelError } from '../errors.js'

/** The part of a runtime's tensor that the check needs; onnxruntime's and Transformers.js's tensors both have it. */
export interface ScoreTensor {
  readonly dims: readonly number[]
  readonly data: ArrayLike<number>
}

/** How far a sum of scores may be from 1: float16 encoders lose up to some 3e-4. */
const tolerance = 1e-3

/**
 * The proof that a tap sits where it should: what all keys receive sums to 1 (SPEC 1). Run it on the first result of a
 * tapped model.
 *
 * @param outputs the session's outputs, by name; layers are recognised by `attention_received.<layer>`
 * @param patchesPerToken from `inspectEncoder`: a merged token's score is the mean over its patches
 * @throws {ModelError} when a sum is off by more than 1e-3, or a score is not finite or negative
 */
export function checkReceivedAttention(outputs: Readonly<Record<string, ScoreTensor>>, patchesPerToken = 1): void {
  const layers = Object.keys(outputs).filter((name) => name.startsWith(received))
  if (layers.length === 0)
    throw new ModelError('the model returned no attention_received outputs: it has not been tapped')
  for (const name of layers) checkLayer(name, outputs, patchesPerToken)
}

const received = 'attention_received.'

function checkLayer(name: string, outputs: Readonly<Record<string, ScoreTensor>>, patchesPerToken: number): void {
  const tokens = rowSums(name, outputs[name])
  const prefixName = name.replace(received, 'attention_prefix.')
  const prefix = outputs[prefixName] ? rowSums(prefixName, outputs[prefixName]) : tokens.map(() => 0)
  for (const [row, sum] of tokens.entries()) {
    const total = sum * patchesPerToken + (prefix[row] ?? 0)
    if (Math.abs(total - 1) <= tolerance) continue
    throw new ModelError(
      `${name}: the attention of image ${row} sums to ${total.toPrecision(6)}, allowed: 1 within ${tolerance}; this encoder's graph is not understood`,
    )
  }
}

function rowSums(name: string, tensor: ScoreTensor | undefined): number[] {
  const { dims, data } = tensor ?? { dims: [], data: [] }
  const columns = dims.at(-1) ?? 0
  const sums = new Array<number>(columns === 0 ? 0 : data.length / columns).fill(0)
  for (let i = 0; i < data.length; i++) {
    const score = data[i] ?? NaN
    if (!(score >= 0 && score <= 1 + tolerance))
      throw new ModelError(`${name}: score ${i} is ${score}, allowed: 0 to 1`)
    sums[Math.floor(i / columns)] = (sums[Math.floor(i / columns)] ?? 0) + score
  }
  return sums
}
