import { describe, expect, it } from 'vitest'
import { chooseLayers } from '../../src/analysis/calibration.js'
import { fallbackLayer, largestRise, phasesOf } from '../../src/analysis/jump.js'
import { globalInTheDeep, objectsInTheMiddle, relativeIou } from '../../src/analysis/pattern.js'
import { intervalOf, RowStatistics } from '../../src/analysis/statistics.js'
import { seededRandom } from '../../src/numeric/random.js'

/** The paper's CLIP-L curve of the top 5 %: 31 at first, 26 in layers 5 to 9, 58 from layer 10 on. */
const clip = [31, 30.5, 30, 29, 26, 26, 26, 26, 26, ...Array<number>(15).fill(58)]

/** The curve as it would come from other images. */
const resampled = (curve: number[], noise: number) =>
  Array.from({ length: 50 }, (_, sample) => {
    const random = seededRandom(sample)
    return curve.map((value) => value * (1 + noise * (random() - 0.5)))
  })

describe('calibration', () => {
  it("finds layer 9 in the paper's CLIP-L curve", () => {
    const choice = chooseLayers(clip, resampled(clip, 0.05))
    expect(choice).toMatchObject({ objectLayer: 9, deepLayer: 24, method: 'dispersion' })
    expect(choice.jump).toMatchObject({ layers: [9, 10], agreement: 1 })
    expect(choice.jump.rise).toBeCloseTo(58 / 26 - 1, 12)
    expect(choice.jump.rise95[0]).toBeLessThan(choice.jump.rise)
    expect(choice.jump.rise95[1]).toBeGreaterThan(choice.jump.rise)
    expect(phasesOf(clip, 9)).toEqual({ shallow: [1, 4], middle: [5, 9], deep: [10, 24] })
  })

  it('falls back to round(0.375 L) and says why, without a jump or without a sure one', () => {
    const flat = Array.from({ length: 12 }, (_, i) => 16 + 0.4 * (i % 3))
    expect(chooseLayers(flat, resampled(flat, 0.05))).toMatchObject({
      objectLayer: 4,
      method: 'fallback',
      reason: 'no jump: the largest rise of dispersion is 2 %, a jump is 20 % or more',
    })
    const twoSteps = [10, 13, 13, 17, 17, 17, 17, 17]
    const unsure = chooseLayers(twoSteps, resampled(twoSteps, 0.4))
    expect(unsure).toMatchObject({ objectLayer: 3, method: 'fallback' })
    expect(unsure.reason).toMatch(/^no sure jump: only \d+ % of bootstrap samples/)
    expect([4, 8, 12, 20, 24, 27].map(fallbackLayer)).toEqual([2, 3, 4, 8, 9, 10])
  })

  it('looks at the first three quarters only', () => {
    expect(largestRise([1, 1, 1.1, 1, 1, 1, 5, 5])).toMatchObject({ layer: 2 })
    expect(largestRise([1, 1, 1.1, 1, 1, 3, 5, 5])).toMatchObject({ layer: 5 })
    expect(largestRise([7])).toEqual({ layer: 1, rise: 0, runnerUp: 0 })
  })

  it('a middle that is not the lowest run is the object layer alone', () => {
    expect(phasesOf([20, 10, 30, 90, 90, 90], 3)).toEqual({ shallow: [1, 2], middle: [3, 3], deep: [4, 6] })
    expect(phasesOf([10, 90, 90, 90], 1)).toEqual({ shallow: null, middle: [1, 1], deep: [2, 4] })
  })
})

describe('the pattern', () => {
  const curveOf = (first: number, last: number) =>
    [first, (first + 1) / 2, 1, 1, (1 + last) / 2, last].map((v) => 0.2 * v)

  it("shows in every row of the paper's table", () => {
    for (const [first, last] of [
      [0.58, 0.8],
      [0.34, 0.79],
      [0.57, 0.66],
      [0.62, 0.64],
      [0.27, 0.59],
      [0.82, 0.26],
    ] as const) {
      const curve = curveOf(first, last)
      const finding = objectsInTheMiddle(curve, 0.06, resampled(curve, 0.05))
      expect(finding.shows, finding.reading).toBe(true)
      expect(relativeIou(curve, [curve])).toMatchObject({
        first: expect.closeTo(first, 9) as number,
        last: expect.closeTo(last, 9) as number,
      })
    }
  })

  it('does not show in a flat curve, a rising one, one at the level of chance, or one that images disagree on', () => {
    const good = curveOf(0.5, 0.5)
    expect(objectsInTheMiddle([0.2, 0.2, 0.2, 0.2], 0.06, [good]).shows).toBe(false)
    expect(objectsInTheMiddle([0.05, 0.1, 0.2, 0.3], 0.06, [good]).shows).toBe(false)
    expect(objectsInTheMiddle(good, 0.19, [good]).shows).toBe(false)
    expect(objectsInTheMiddle(good, 0.06, [good, [...good].reverse().map((v, i) => v * i)]).shows).toBe(false)
  })

  it('deep layers look everywhere after a jump that lasts', () => {
    const lasting = globalInTheDeep(clip, chooseLayers(clip, [clip]))
    expect(lasting.shows).toBe(true)
    expect(lasting.reading).toContain('2.23 times the dispersion of layer 9')
    const spike = [10, 10, 10, 20, 4, 4, 4, 4]
    expect(globalInTheDeep(spike, chooseLayers(spike, [spike])).shows).toBe(false)
    const flat = Array<number>(8).fill(3)
    expect(globalInTheDeep(flat, chooseLayers(flat, [flat]))).toMatchObject({
      shows: false,
      reading: expect.stringMatching(/^no jump/) as string,
    })
  })
})

describe('RowStatistics', () => {
  const rows = Array.from({ length: 60 }, (_, i) => [i, (i * 37) % 11])

  it('mean, deviation, and bootstrap means that scatter as the mean does', () => {
    const statistics = new RowStatistics(2, 400, 0)
    rows.forEach((row, i) => statistics.add(row, i))
    expect(statistics.mean()[0]).toBeCloseTo(29.5, 12)
    const deviation = Math.sqrt(rows.reduce((sum, [v]) => sum + (v! - 29.5) ** 2, 0) / 60)
    expect(statistics.deviation()[0]).toBeCloseTo(deviation, 9)
    const [low, high] = intervalOf(statistics.replicateMeans().map((row) => row[0]!))
    const width = (2 * 1.96 * deviation) / Math.sqrt(60)
    expect((high - low) / width).toBeGreaterThan(0.85)
    expect((high - low) / width).toBeLessThan(1.15)
  })

  it('goes on from its state as if it had never stopped, and takes no more memory for more rows', () => {
    const whole = new RowStatistics(2, 50, 5)
    const first = new RowStatistics(2, 50, 5)
    rows.forEach((row, i) => whole.add(row, i))
    rows.slice(0, 23).forEach((row, i) => first.add(row, i))
    const second = new RowStatistics(2, 50, 5)
    second.restore(JSON.parse(JSON.stringify(first)) as ReturnType<RowStatistics['toJSON']>)
    rows.slice(23).forEach((row, i) => second.add(row, 23 + i))
    expect(second.toJSON()).toEqual(whole.toJSON())
    const numbers = (statistics: RowStatistics) => Object.values(statistics.toJSON()).flat(2).length
    expect(numbers(first)).toBe(numbers(whole))
  })
})
