import { RawImage } from '@huggingface/transformers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { oracleRoot } from '../../test/golden.js'
import { ask, loadPruned } from '../index.js'
import { gridOf } from './downscale.js'

it('gridOf stays within its tokens, uses most of them and keeps the shape', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.double({ min: 0.4, max: 2.5, noNaN: true }), (tokens, shape) => {
      const { rows, columns } = gridOf(tokens, shape)
      expect(rows * columns).toBeLessThanOrEqual(tokens)
      expect(rows * columns).toBeGreaterThan(tokens - Math.max(rows, columns))
      if (tokens > 50) expect(rows / columns / shape).toBeGreaterThan(0.6)
      if (tokens > 50) expect(rows / columns / shape).toBeLessThan(1.7)
    }),
  )
  expect(gridOf(64, 1)).toEqual({ rows: 8, columns: 8 })
  expect(gridOf(1, 3)).toEqual({ rows: 1, columns: 1 })
})

it('an encoder of any resolution makes about K tokens of the smaller image, one of fixed resolution pools', async () => {
  const pixels = Uint8ClampedArray.from({ length: 96 * 64 * 3 }, (_, i) => (i * 31) % 251)
  const image = new RawImage(pixels, 96, 64, 3)
  const question = ['What is it?', { keep: 24, method: 'downscale', max_new_tokens: 2 }] as const

  const qwen = await loadPruned(`${oracleRoot}models/tiny-qwen2.5-vl`, { dtype: 'fp32' })
  const smaller = await ask(qwen, [image], ...question)
  expect(smaller).toMatchObject({ method: 'downscale', keptTokens: 24 })
  expect(smaller.images[0]!.grid).toEqual({ rows: 4, columns: 6 })
  expect([image.width, image.height]).toEqual([96, 64])
  await qwen.model.dispose()

  const llava = await loadPruned(`${oracleRoot}models/tiny-llava`, { dtype: 'fp32' })
  const pooled = await ask(llava, [image], ...question)
  expect(pooled).toMatchObject({ method: 'pool', keptTokens: 24, visualTokens: 64 })
  await llava.model.dispose()
})
