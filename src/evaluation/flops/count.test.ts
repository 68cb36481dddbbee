import { describe, expect, it } from 'vitest'
import { countFlops, flopPresets, kvCacheBytes, llmFlops, textTowerFlops } from './count.js'
import { knownShape } from './shape.js'

const llava = knownShape('llava-1.5-7b')
const teraOf = (kept: number) => countFlops(llava, { visual: 576, kept, text: 49 }).total / 1e12

describe('calflops, the counting of the paper', () => {
  it.each([
    [576, '8.63'],
    [192, '3.56'],
    [128, '2.71'],
    [64, '1.87'],
  ])('LLaVA-1.5-7B with %i visual tokens: %s TFLOPs', (kept, expected) => {
    expect(teraOf(kept).toFixed(2)).toBe(expected)
  })

  it('saves 58.7 % at 192 tokens when taken from the rounded TFLOPs, as the paper does; 58.79 % exactly', () => {
    const rounded = (kept: number) => Number(teraOf(kept).toFixed(2))
    expect(((1 - rounded(192) / rounded(576)) * 100).toFixed(1)).toBe('58.7')
    expect(((1 - teraOf(192) / teraOf(576)) * 100).toFixed(2)).toBe('58.79')
  })

  it('HiPrune++ adds 0.0140 TFLOPs', () => {
    expect((textTowerFlops(576) / 1e12).toFixed(4)).toBe('0.0140')
  })

  it('LLaVA-NeXT: five tiles with a CLS token each, 640 of 2880 tokens', () => {
    const { encoder, projector, llm } = countFlops(knownShape('llava-next-7b'), { visual: 2880, kept: 640, text: 49 })
    expect(encoder).toBe(2 * 24 * (4 * 1024 ** 2 + 2 * 1024 * 4096) * 5 * 577)
    expect(projector).toBe(2 * (1024 * 4096 + 4096 ** 2) * 2880)
    expect(llm).toBe(2 * (32 * (4 * 4096 ** 2 + 3 * 4096 * 11008) + 4096 * 32000) * (640 + 49))
  })

  it('Qwen2.5-VL-3B: gated encoder on four patches a token, merger, grouped heads', () => {
    const shape = knownShape('qwen2.5-vl-3b')
    const { encoder, projector, llm } = countFlops(shape, { visual: 1296, kept: 432, text: 49 })
    expect(encoder).toBe(2 * 32 * (4 * 1280 ** 2 + 3 * 1280 * 3420) * 4 * 1296)
    expect(projector).toBe(2 * (5120 ** 2 + 5120 * 2048) * 1296)
    const layer = 2 * 2048 ** 2 + 2 * 2048 * 256 + 3 * 2048 * 11008
    expect(llm).toBe(2 * (36 * layer + 2048 * 151936) * (432 + 49))
  })
})

describe('the other countings', () => {
  const [n, d, m, layers] = [241, 4096, 11008, 32]

  it.each([
    ['fastv', layers * (4 * n * d ** 2 + 2 * n ** 2 * d + 2 * n * d * m)],
    ['swiglu', layers * (4 * n * d ** 2 + 2 * n ** 2 * d + 3 * n * d * m)],
    ['swiglu-2x', 2 * layers * (4 * n * d ** 2 + 2 * n ** 2 * d + 3 * n * d * m)],
    ['executed', layers * (2 * n * (4 * d ** 2 + 3 * d * m) + 4 * n ** 2 * d) + 2 * d * 32000],
  ] as const)('%s', (preset, expected) => {
    expect(llmFlops(llava, n, preset)).toBe(expected)
  })

  it('executed runs one encoder layer less where features are hidden state -2, and adds attention', () => {
    const { encoder } = countFlops(llava, { visual: 576, kept: 576, text: 49 }, 'executed')
    expect(encoder).toBe(23 * (2 * 577 * (4 * 1024 ** 2 + 2 * 1024 * 4096) + 4 * 577 ** 2 * 1024))
  })

  it.each(flopPresets)('%s grows with the tokens kept', (preset) => {
    const totals = [1, 64, 192, 576].map((kept) => countFlops(llava, { visual: 576, kept, text: 49 }, preset).total)
    expect(totals).toEqual([...totals].sort((a, b) => a - b))
    expect(new Set(totals).size).toBe(4)
  })
})

it('KV cache: half a megabyte a token in LLaVA-1.5-7B, less with grouped heads', () => {
  expect(kvCacheBytes(llava, 1, 2)).toBe(2 * 32 * 4096 * 2)
  expect(kvCacheBytes(knownShape('qwen2.5-vl-3b'), 10, 4)).toBe(2 * 36 * 2 * 128 * 4 * 10)
})

it.each([
  [{ visual: 0, kept: 1, text: 1 }, /visual: got 0/],
  [{ visual: 9, kept: 10, text: 1 }, /kept: got 10, allowed: at most the 9/],
  [{ visual: 9, kept: 1.5, text: 1 }, /kept: got 1.5/],
  [{ visual: 9, kept: 1, text: -1 }, /text: got -1/],
])('refuses %j', (tokens, message) => {
  expect(() => countFlops(llava, tokens)).toThrow(message)
})

it('refuses a preset and a model that do not exist', () => {
  expect(() => countFlops(llava, { visual: 9, kept: 1, text: 1 }, 'guess' as never)).toThrow(/preset: got "guess"/)
  expect(() => knownShape('gpt')).toThrow(/model: got "gpt", allowed: llava-1.5-7b/)
})
