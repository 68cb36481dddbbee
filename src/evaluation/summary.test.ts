import { describe, expect, it } from 'vitest'
import type { Example } from './datasets/example.js'
import type { ImageRecord } from './evaluate-image.js'
import { evenly, planImages } from './plan.js'
import { lossesInWords, reportCsv, taskLossesOf } from './report.js'
import { bootstrapCounts, mcnemar } from './statistics.js'
import { summarize } from './summary.js'
import { ALL_TOKENS, cellsOf, parseBudgets, parseVariants } from './variants.js'

const example = (picture: number, i: number, type: string): Example => ({
  id: `${picture}-${i}`,
  imageKey: `${picture}.jpg`,
  image: { path: `${picture}.jpg` },
  question: 'q',
  prompt: 'q',
  type,
  answers: ['yes'],
  llavaId: i,
  doc: {},
})
const examples = Array.from({ length: 40 }, (_, picture) => [
  example(picture, 0, 'exist'),
  example(picture, 1, 'count'),
]).flat()
const sets = [{ name: 'jsonl' as const, root: '/images', examples }]
const cells = cellsOf(parseVariants('hiprune,random'), ['1/3'])

/** All tokens: 3 of 4 right, hiprune: exist only, random: the same and every fourth count. */
const records = (): ImageRecord[] =>
  planImages(sets).map(({ key }, picture) => ({
    image: key,
    visualTokens: 100,
    kept: { [ALL_TOKENS]: 100, 'hiprune@1/3': 33, 'random@1/3': 33 },
    answers: {
      [ALL_TOKENS]: ['yes', picture % 2 ? 'yes' : 'no'],
      'hiprune@1/3': ['yes', 'no'],
      'random@1/3': ['Yes.', picture % 4 === 0 ? 'yes' : 'no'],
    },
  }))

describe('a run in numbers', () => {
  const [summary] = summarize(planImages(sets), records(), cells, 0)
  const cell = (key: string) => summary!.cells.find((one) => one.cell === key)!

  it('gives accuracy, the share kept, tokens and tasks', () => {
    expect(cell(ALL_TOKENS).result.value).toBe(0.75)
    expect(cell('hiprune@1/3').result.value).toBe(0.5)
    expect(cell('hiprune@1/3').keptShare.value).toBeCloseTo(2 / 3)
    expect(cell('random@1/3')).toMatchObject({ tokens: 33, label: 'random', budget: '1/3' })
    expect(cell('random@1/3').types.map(({ type, value }) => [type, value])).toEqual([
      ['count', 0.25],
      ['exist', 1],
    ])
  })

  it('has bootstrap intervals over pictures, the same with the same seed', () => {
    const { value, low95, high95 } = cell('random@1/3').result
    expect(low95).toBeLessThan(value)
    expect(high95).toBeGreaterThan(value)
    // The standard error of a mean of 40 pictures, each 0.5 or 1, is 0.034.
    expect(high95 - low95).toBeGreaterThan(3 * 0.034)
    expect(high95 - low95).toBeLessThan(5 * 0.034)
    expect(summarize(planImages(sets), records(), cells, 0)[0]).toEqual(summary)
    const exact = cell('hiprune@1/3').result
    expect([exact.low95, exact.high95]).toEqual([0.5, 0.5])
  })

  it('says where the reference loses, from the numbers', () => {
    expect(cell('random@1/3').versus).toMatchObject({ first: 10, second: 0 })
    expect(lossesInWords(summary!)).toBe(
      '- At 1/3: **hiprune loses** to random (+12.5 points, p .002). By task, behind the best other method in: count (random +25.0 points).',
    )
    const swapped = summarize(planImages(sets), records(), cells, 0, 'random')[0]!
    expect(lossesInWords(swapped)).toBe('- At 1/3: no other method is ahead of random.')
    expect(taskLossesOf(swapped)).toEqual([])
  })

  it('writes one CSV row a cell and task', () => {
    expect(
      reportCsv([{ name: 'a,b', summaries: [summary!] }])
        .trimEnd()
        .split('\n'),
    ).toHaveLength(1 + 3 * 3)
  })
})

it('plans each picture once, also over sets with one folder, and spreads a limit evenly', () => {
  const both = planImages([...sets, { ...sets[0]!, name: 'pope' as const }], 10)
  expect(both).toHaveLength(10)
  expect(both[0]!.asks.map(({ set }) => set)).toEqual(['jsonl', 'jsonl', 'pope', 'pope'])
  expect(both.map(({ key }) => key)).toEqual(evenly([...Array(40).keys()], 10).map((i) => `${i}.jpg`))
  expect(planImages([...sets, { ...sets[0]!, root: '/others' }])).toHaveLength(80)
})

it("McNemar's exact test is the two-sided binomial one", () => {
  const pair = (better: number, worse: number, equal = 3) => {
    const first = [...Array<number>(better).fill(1), ...Array<number>(worse).fill(0), ...Array<number>(equal).fill(1)]
    return mcnemar(first, [
      ...Array<number>(better).fill(0),
      ...Array<number>(worse).fill(1),
      ...Array<number>(equal).fill(1),
    ]).p
  }
  expect(pair(0, 0)).toBe(1)
  expect(pair(5, 0)).toBeCloseTo(2 / 32, 12)
  expect(pair(1, 9)).toBeCloseTo((2 * (1 + 10)) / 1024, 12)
  expect(pair(9, 1)).toBeCloseTo(pair(1, 9), 12)
  expect(pair(4, 4)).toBe(1)
  expect(pair(1200, 1000)).toBeGreaterThan(1e-6)
  expect(pair(1200, 1000)).toBeLessThan(1e-4)
})

it('bootstrap samples draw as many pictures as there are', () => {
  const samples = bootstrapCounts(50, 20, 1)
  for (const sample of samples) expect(sample.reduce((a, b) => a + b, 0)).toBe(50)
  expect(samples[0]).not.toEqual(samples[1])
  expect(bootstrapCounts(50, 20, 1)).toEqual(samples)
})

describe('variants', () => {
  it('have options, layers and labels', () => {
    const [plain, wide, early] = parseVariants(
      'hiprune,hiprune:alpha=0.5:shape=square:label=wide, hiprune:objectLayer=3',
    )
    expect(plain).toEqual({ label: 'hiprune', method: 'hiprune', options: {} })
    expect(wide).toEqual({ label: 'wide', method: 'hiprune', options: { alpha: 0.5, shape: 'square' } })
    expect(early).toEqual({ label: 'hiprune objectLayer=3', method: 'hiprune', options: {}, objectLayer: 3 })
    expect(parseVariants('all').map(({ label }) => label)).toContain('cdpruner')
    expect(parseBudgets('192, 1/3,auto')).toEqual(['192', '1/3', 'auto'])
  })

  it.each([
    ['hiprune:alpha=2', /^alpha: got 2/],
    ['hiprune:alpha', /^--methods hiprune: got "alpha"/],
    ['grid:alpha=1', /^--methods grid: got "alpha=1", allowed: label= and a value/],
    ['hiprune:objectLayer=0', /^objectLayer: got 0/],
    ['hiprune:attention=mine', /^attention: got "mine", allowed: received, cls/],
    ['', /^--methods: got ""/],
  ])('%s is refused', (text, message) => expect(() => parseVariants(text)).toThrow(message))
})
