import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reportHtml, summaryFigures } from '../../src/plots/index.js'
import { chromiumFlags, chromiumPath } from './chromium.js'
import { patternNumbers } from './study-fixture.js'

const why = chromiumPath ? '' : ' (skipped: no Chromium found; install one or set HIPRUNE_CHROMIUM)'
let browser: Browser
let folder: string
let url: string

describe.skipIf(!chromiumPath)(`the report in a real browser${why}`, () => {
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-report-'))
    const file = path.join(folder, 'index.html')
    const numbers = patternNumbers()
    const figures = summaryFigures(numbers)
    await writeFile(file, reportHtml({ title: 'A study', numbers, facts: { seed: '0' }, figures, redundancy: 'Some.' }))
    url = pathToFileURL(file).href
    browser = await chromium.launch({ executablePath: chromiumPath as string, args: chromiumFlags })
  })
  afterAll(async () => {
    await browser.close()
    await rm(folder, { recursive: true })
  })

  it.each([
    ['light', 1100],
    ['dark', 1100],
    ['light', 390],
  ] as const)('%s, %i pixels wide: readable, nothing cut off, nothing loaded', async (colorScheme, width) => {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => void (request.url() === url || requests.push(request.url())))
    await page.goto(url)
    expect(complaints).toEqual([])
    expect(requests).toEqual([])
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(
      0,
    )
    const sizes = await page
      .locator('figure svg')
      .evaluateAll((all) => all.map((svg) => svg.getBoundingClientRect().width))
    expect(sizes).toHaveLength(4)
    for (const size of sizes) expect(size).toBeGreaterThan(300)
    expect(await contrast(page, 'h1')).toBeGreaterThan(7)
    expect(await contrast(page, 'figcaption')).toBeGreaterThan(4.5)
    expect(await contrast(page, 'figure svg text')).toBeGreaterThan(4.5)
    await page.close()
  })

  it('shows both findings, the chosen layer and the numbers', async () => {
    const page = await browser.newPage()
    await page.goto(url)
    expect(await page.locator('.card .yes').allInnerTexts()).toEqual(['shows', 'shows'])
    expect(await page.locator('tr.chosen td').first().innerText()).toBe('3')
    expect(await page.locator('table').count()).toBe(2)
    await page.close()
  })
})

/** WCAG contrast of an element's text with the page behind it. */
async function contrast(page: Page, selector: string): Promise<number> {
  const colours = await page
    .locator(selector)
    .first()
    .evaluate((element) => {
      const style = getComputedStyle(element)
      return [element instanceof SVGElement ? style.fill : style.color, getComputedStyle(document.body).backgroundColor]
    })
  const [a, b] = colours.map(luminance) as [number, number]
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
}

function luminance(colour: string): number {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map((text) => {
    const value = Number(text) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
