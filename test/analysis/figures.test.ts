import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { layersCsv, ranksOf } from '../../src/analysis/index.js'
import { renderPng } from '../../src/node.js'
import {
  barFigure,
  rankMapFigure,
  reportHtml,
  standalone,
  summaryFigures,
  tokenMapFigure,
} from '../../src/plots/index.js'
import { patternNumbers } from './study-fixture.js'

const numbers = patternNumbers()
const href = `data:image/png;base64,${(
  await sharp({ create: { width: 4, height: 3, channels: 3, background: '#3060c0' } })
    .png()
    .toBuffer()
).toString('base64')}`
const rankMap = rankMapFigure({
  href,
  width: 40,
  height: 30,
  region: { x: 5, y: 0, width: 30, height: 30 },
  grid: { rows: 2, columns: 3 },
  layers: [{ layer: 1, ranks: ranksOf([5, 4, 3, 2, 1, 0]) }],
})
const tokens = tokenMapFigure(
  Array.from({ length: 160 }, (_, i) => (i % 2 === 0 ? i : (i * i) % 37)),
  [{ layer: 2, isTop: Uint8Array.from({ length: 80 }, (_, i) => i % 2) }],
)
const bars = barFigure(
  'Bars',
  [
    { name: 'one', value: 0.5 },
    { name: 'two', value: 0.25 },
  ],
  'share',
  1,
)
const figures = [
  ...summaryFigures(numbers).map(({ id, svg }) => [id, svg] as const),
  ['rank-map', rankMap] as const,
  ['token-map', tokens] as const,
  ['bars', bars] as const,
]

describe('figures', () => {
  it.each(figures)('%s equals its snapshot', async (id, svg) => {
    await expect(`${standalone(svg)}\n`).toMatchFileSnapshot(`snapshots/${id}.svg`)
  })

  it.each(figures)('%s renders: on white, more than a frame', async (_, svg) => {
    const { data, info } = await sharp(renderPng(standalone(svg)))
      .removeAlpha()
      .greyscale()
      .raw()
      .toBuffer({ resolveWithObject: true })
    expect(data[0]).toBe(255)
    const dark = data.filter((value) => value < 200).length
    expect(dark / (info.width * info.height)).toBeGreaterThan(0.003)
  })

  it('without masks there are no IoU figures', () => {
    expect(summaryFigures(patternNumbers(false)).map(({ id }) => id)).toEqual(['dispersion', 'layer-map'])
  })

  it('the rank map paints each token in the colour of its rank, over the part that was seen', async () => {
    const { data, info } = await sharp(renderPng(standalone(rankMap.replace('opacity="0.68"', ''))))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    // The second panel starts behind the first (200 pixels wide, 10 apart) and its title (22 high).
    const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]
    const [best, worst] = [at(210 + 33, 22 + 50), at(210 + 166, 22 + 150)]
    expect(best[0]! - best[2]!).toBeGreaterThan(80)
    expect(worst[2]! - worst[1]!).toBeGreaterThan(40)
  })
})

describe('the numbers as CSV', () => {
  it('one row a layer, every row with all columns', () => {
    const [header, ...rows] = layersCsv(numbers)
      .trimEnd()
      .split('\n')
      .map((line) => line.split(','))
    expect(header!.slice(0, 5)).toEqual([
      'layer',
      'dispersion_top5_mean',
      'dispersion_top5_deviation',
      'dispersion_top5_low95',
      'dispersion_top5_high95',
    ])
    expect(rows).toHaveLength(numbers.depth)
    for (const row of rows) expect(row).toHaveLength(header!.length)
    expect(rows.map((row) => Number(row[header!.indexOf('iou_mean')]))).toEqual(
      numbers.iou!.mean.map((v) => Number(v.toPrecision(6))),
    )
  })
})

describe('the report', () => {
  it('escapes names and asks nothing of the network', () => {
    const html = reportHtml({
      title: '<b>"x"</b>',
      numbers,
      facts: { a: '<i>' },
      figures: summaryFigures(numbers),
      redundancy: '',
    })
    expect(html).not.toContain('<b>')
    expect(html).not.toContain('<i>')
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<script|<link|@import/)
  })
})
