import { expect, it } from 'vitest'
import { clusteredRows, rowsOf, slowCosine } from '../../test/random-input.js'
import { seededRandom } from '../numeric/random.js'
import { relevanceToText } from './relevance.js'

it('equals the cosine in float64', () => {
  for (let seed = 0; seed < 30; seed++) {
    const width = 1 + seed
    const next = seededRandom(seed)
    const rows = clusteredRows(20, width, next)
    const text = clusteredRows(1, width, next)
    const relevance = relevanceToText(rows, text)
    rowsOf(rows, 20).forEach((row, i) => expect(relevance[i]).toBeCloseTo(slowCosine(row, [...text]), 6))
  }
})

it('is 0 without a direction', () => {
  expect([...relevanceToText(new Float32Array([0, 0, 3, 4]), new Float32Array([1, 0]))]).toEqual([0, Math.fround(0.6)])
  expect([...relevanceToText(new Float32Array([1, 2]), new Float32Array([0, 0]))]).toEqual([0])
})

it('refuses what does not fit', () => {
  expect(() => relevanceToText(new Float32Array(5), new Float32Array(2))).toThrow(/^rows: got Float32Array of length 5/)
  expect(() => relevanceToText(new Float32Array(5), new Float32Array(0))).toThrow(/^text: got Float32Array of length 0/)
})
