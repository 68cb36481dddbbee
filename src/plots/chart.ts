import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** Colours that stay apart for colour-blind readers, and from light and dark paper (after Okabe and Ito). */
export const COLOURS = ['#2f88c9', '#d55e00', '#00a37a', '#c66fa0', '#c98a00'] as const

/** Draws a chart as an SVG element whose text takes the colour around it. Numbers have two decimals. */
export function chart(label: string, options: Plot.PlotOptions): string {
  const { document } = parseHTML('<html><body></body></html>')
  const svg = Plot.plot({
    document: document as unknown as Document,
    width: 640,
    height: 360,
    marginLeft: 52,
    style: { fontSize: '13px' },
    ...options,
  })
  return roundNumbers(svg.outerHTML)
    .replaceAll('\u2212', '-')
    .replace('<svg ', `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeXml(label)}" `)
}

/** The same chart as a file of its own: dark on white, whatever it is shown on. */
export function standalone(svg: string): string {
  return svg.replace(/<svg ([^>]*)>/, (_, attributes: string) => {
    return `<svg ${attributes} color="#1d2129"><rect width="100%" height="100%" fill="#ffffff"/>`
  })
}

/** Names of coloured series in the upper right corner. */
export function legend(
  entries: readonly { readonly name: string; readonly colour: string }[],
  lineHeight = 16,
): Plot.Markish[] {
  return entries.map(({ name, colour }, i) =>
    Plot.text([`\u25cf ${name}`], {
      frameAnchor: 'top-right',
      dy: 4 + i * lineHeight,
      dx: -4,
      fill: colour,
      fontSize: 12,
    }),
  )
}

/** A vertical line at a layer with a word beside it. */
export function layerMark(layer: number, name: string): Plot.Markish[] {
  return [
    Plot.ruleX([layer], { strokeDasharray: '4 3', strokeOpacity: 0.7 }),
    Plot.text([name], { x: layer, frameAnchor: 'bottom', dx: 4, dy: -4, textAnchor: 'start', fontSize: 12 }),
  ]
}

/** The axis of layers: whole numbers, at most a dozen of them. */
export function layerAxis(depth: number): Plot.ScaleOptions {
  const step = Math.max(1, Math.ceil(depth / 12))
  const ticks = Array.from({ length: depth }, (_, i) => i + 1).filter(
    (layer) => (layer - 1) % step === 0 || layer === depth,
  )
  return { label: 'layer', domain: [1, Math.max(2, depth)], ticks, tickFormat: String } as Plot.ScaleOptions
}

/** Shortest form with two decimals: equal pictures are equal files on every machine. */
function roundNumbers(svg: string): string {
  return svg.replace(/-?\d+\.\d{3,}(?:e[-+]?\d+)?/g, (number) => String(Math.round(Number(number) * 100) / 100))
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
