import { Tensor } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import { inOrder, keptPlaceholders, placeImages } from './place-images.js'
import { imagePositions, shortenPrompt } from './shorten-prompt.js'

const ids = (rows: number[][]) =>
  new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length])
const rowsOf = (tensor: Tensor) => (tensor.tolist() as bigint[][]).map((row) => row.map(Number))
const selection = (...kept: number[]) => ({ kept: Uint32Array.from(kept), roles: new Uint8Array(kept.length) })
const grid = (rows: number, columns: number) => inOrder({ rows, columns })

describe('placeImages', () => {
  it('gives each row the images that its placeholders hold', () => {
    const { skip, places } = placeImages([[3, 4, 5, 6, 9, 10], [], [1, 2]], [grid(2, 2), grid(1, 2), grid(2, 1)], false)
    expect(skip).toBe(0)
    expect(places).toEqual([
      { row: 0, offset: 0 },
      { row: 0, offset: 4 },
      { row: 2, offset: 0 },
    ])
  })

  it('skips images of earlier turns', () => {
    const images = [grid(2, 2), grid(1, 2)]
    expect(placeImages([[7, 8]], images, true)).toEqual({ skip: 1, places: [{ row: 0, offset: 0 }] })
    expect(() => placeImages([[7, 8]], images, false)).toThrow(/has 2 image placeholders, but its images make 4 \+ 2/)
  })

  it('refuses images of earlier turns in a batch, where they stand between the new ones', () => {
    const image = grid(1, 2)
    const rows = [
      [7, 8],
      [7, 8],
    ]
    expect(placeImages(rows, [image, image], true).skip).toBe(0)
    expect(() => placeImages(rows, [image, image, image, image], true)).toThrow(/^a later turn with new images: got 2/)
  })

  it.each([
    ['too few placeholders', [[1, 2, 3]], [grid(2, 2)]],
    ['too many placeholders', [[1, 2, 3, 4, 5]], [grid(2, 2)]],
    ['an image cut by the end of a row', [[1, 2, 3], [4]], [grid(2, 2)]],
    ['no image', [[1]], []],
  ])('refuses %s', (_, positions, grids) => {
    expect(() => placeImages(positions, grids, true)).toThrow(/image placeholders, but its images make/)
  })
})

describe('shortenPrompt', () => {
  it('drops placeholders that are not kept and pads rows on the left', () => {
    const input = ids([
      [1, 4, 4, 4, 7],
      [0, 1, 4, 4, 8],
    ])
    const mask = ids([
      [1, 1, 1, 1, 1],
      [0, 1, 1, 1, 1],
    ])
    const positions = imagePositions(input, [4])
    expect(positions).toEqual([
      [1, 2, 3],
      [2, 3],
    ])
    const places = [
      { row: 0, offset: 0 },
      { row: 1, offset: 0 },
    ]
    const kept = keptPlaceholders(
      2,
      places,
      [grid(1, 3), grid(1, 2)],
      [[{ rows: 1, columns: 3 }], [{ rows: 1, columns: 2 }]],
      [[selection(0, 2)], [selection()]],
    )
    const prompt = shortenPrompt(input, mask, positions, kept)
    expect(rowsOf(prompt.input_ids)).toEqual([
      [1, 4, 4, 7],
      [0, 0, 1, 8],
    ])
    expect(rowsOf(prompt.attention_mask)).toEqual([
      [1, 1, 1, 1],
      [0, 0, 1, 1],
    ])
  })

  it('reads the last columns of a mask that covers a cache too', () => {
    const input = ids([[1, 4, 4, 7]])
    const prompt = shortenPrompt(input, ids([[0, 0, 1, 1, 1, 1]]), [[1, 2]], [[1]])
    expect(rowsOf(prompt.attention_mask)).toEqual([[1, 1, 1]])
    expect(() => shortenPrompt(input, ids([[1, 1]]), [[1, 2]], [[1]])).toThrow(/does not cover/)
  })
})
