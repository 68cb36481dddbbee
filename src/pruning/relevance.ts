import { ArgumentError } from '../errors.js'

/**
 * Relevance of every visual token to the question: the cosine of its vector with the question's (SPEC 3). O(N x D).
 *
 * @param rows Row-major `[N, D]` visual tokens in the space that they share with `text`.
 * @param text `[D]` embedding of the question.
 * @returns `[N]` cosines in [-1, 1]; 0 where either vector has no length.
 * @throws ArgumentError when `text` is empty or `rows` is not a whole number of rows of its width.
 */
export function relevanceToText(rows: Float32Array, text: Float32Array): Float32Array {
  const width = text.length
  if (width === 0) throw new ArgumentError('text', text, 'an embedding of at least one value')
  if (rows.length % width !== 0)
    throw new ArgumentError('rows', rows, `a multiple of ${width} values, the text's width`)
  const relevance = new Float32Array(rows.length / width)
  let textSquares = 0
  for (let d = 0; d < width; d++) textSquares += (text[d] as number) * (text[d] as number)
  for (let i = 0; i < relevance.length; i++) relevance[i] = cosine(rows, i * width, text, textSquares)
  return relevance
}

/** Even and odd places have sums of their own: a single one would wait for its last addition. */
function cosine(rows: Float32Array, start: number, text: Float32Array, textSquares: number): number {
  const width = text.length
  const paired = width - (width % 2)
  let product = width > paired ? (rows[start + paired] as number) * (text[paired] as number) : 0
  let squares = width > paired ? (rows[start + paired] as number) ** 2 : 0
  let oddProduct = 0
  let oddSquares = 0
  for (let d = 0; d < paired; d += 2) {
    const value = rows[start + d] as number
    const odd = rows[start + d + 1] as number
    product += value * (text[d] as number)
    squares += value * value
    oddProduct += odd * (text[d + 1] as number)
    oddSquares += odd * odd
  }
  const lengths = Math.sqrt(squares + oddSquares) * Math.sqrt(textSquares)
  return lengths > 0 ? (product + oddProduct) / lengths : 0
}
