import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { createPruner } from '../pruning/index.js'
import { overlaySvg } from './overlay.js'
import { renderPng } from './render-png.js'

const grid = { rows: 4, columns: 6 }
const scores = (best: number) => Array.from({ length: 24 }, (_, i) => (i === best ? 1 : 1 / (i + 2)))
const selection = createPruner('hiprune', { alpha: 1 }).select(
  { grid, objectScores: scores(8), deepScores: scores(23) },
  7,
)
const white = await sharp({ create: { width: 60, height: 40, channels: 3, background: 'white' } })
  .png()
  .toBuffer()
const href = `data:image/png;base64,${white.toString('base64')}`

/** RGB at the centre of a token's cell in the rendered picture: panels are 480 high, 40 from the top, 16 from the left. */
async function centreOf(svg: string, token: number): Promise<number[]> {
  const { data, info } = await sharp(renderPng(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const x = Math.round(16 + ((token % 6) + 0.5) * 120)
  const y = Math.round(40 + (Math.floor(token / 6) + 0.5) * 120)
  return [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]
}

describe('overlaySvg', () => {
  const svg = overlaySvg([{ href, width: 60, height: 40, grid, selection }], 'a <title> & "more"')

  it('frames each kept token in the colour of its role', () => {
    const frames = [...svg.matchAll(/<rect x='([\d.]+)' y='([\d.]+)' [^>]*stroke='(#\w+)' stroke-width='0.9'/g)]
    const cells = frames.map(([, x, y, colour]) => [
      Math.floor(Number(x) / 10) + 6 * Math.floor(Number(y) / 10),
      colour,
    ])
    const colours = ['', '#d55e00', '#f0e442', '#56b4e9']
    expect(cells).toEqual([...selection.kept].map((token, i) => [token, colours[selection.roles[i]!]]))
  })

  it('dims what was dropped and leaves what was kept bright', async () => {
    const dropped = await centreOf(svg, 5)
    const kept = await centreOf(svg, 8)
    expect(Math.max(...dropped)).toBeLessThan(90)
    expect(kept[0]).toBeGreaterThan(200)
  })

  it('dims what the model never saw', async () => {
    const seen = { x: 10, y: 0, width: 40, height: 40 }
    const cropped = overlaySvg([{ href, width: 60, height: 40, seen, grid, selection: everything }], 'cropped')
    expect(Math.max(...(await centreOf(cropped, 0)))).toBeLessThan(90)
    expect(Math.min(...(await centreOf(cropped, 3)))).toBeGreaterThan(200)
  })

  it('counts roles and dropped tokens of all panels in its legend, and escapes its title', () => {
    const two = overlaySvg([panel, panel], 'a <title> & "more"')
    for (const entry of ['anchor 2', 'buffer 8', 'register 4', 'dropped 34']) expect(two).toContain(`>${entry}</text>`)
    expect(two).toContain('a &#60;title&#62; &#38; &#34;more&#34;')
  })
})

const everything = createPruner('none').select({ grid }, 1)
const panel = { href, width: 60, height: 40, grid, selection }
