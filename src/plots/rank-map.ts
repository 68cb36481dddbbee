import type { Region } from '../image/index.js'
import type { PatchGrid } from '../pruning/index.js'
import { escapeXml } from './chart.js'

/** An image with the ranks that layers give to its tokens. */
export interface RankMapInput {
  /** Any URL an SVG image may have, usually a data URI. */
  readonly href: string
  /** Pixels of the picture behind `href`. */
  readonly width: number
  readonly height: number
  /** The part that the encoder sees, in its pixels. */
  readonly region: Region
  readonly grid: PatchGrid
  /** 1-based layer and its `[N]` ranks, 0 for the least attended token. */
  readonly layers: readonly { readonly layer: number; readonly ranks: ArrayLike<number> }[]
}

const PANEL_HEIGHT = 200
const GAP = 10
const TITLE = 22
const LEVELS = 16

/** Ranks over the image, a panel a layer, beside the image itself: dark is least, yellow most attended. */
export function rankMapFigure({ href, width, height, region, grid, layers }: RankMapInput): string {
  const panelWidth = Math.round((region.width * PANEL_HEIGHT) / region.height)
  const id = `picture-${hashOf(href)}`
  const image = `<image id="${id}" href="${escapeXml(href)}" width="${width}" height="${height}" preserveAspectRatio="none"/>`
  const picture = `<use href="#${id}"/>`
  const panels = [
    panel(0, 'image', picture),
    ...layers.map(({ layer, ranks }, i) => panel(i + 1, `layer ${layer}`, picture + cells(ranks, grid, region))),
  ]
  const totalWidth = panels.length * (panelWidth + GAP) - GAP
  const size = `width="${totalWidth}" height="${PANEL_HEIGHT + TITLE}" viewBox="0 0 ${totalWidth} ${PANEL_HEIGHT + TITLE}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Ranks of tokens by layer" ${size} fill="currentColor" font-family="system-ui, sans-serif" font-size="13"><defs>${image}</defs>${panels.join('')}</svg>`

  function panel(index: number, title: string, content: string): string {
    const x = index * (panelWidth + GAP)
    const box = [region.x, region.y, region.width, region.height].map(round).join(' ')
    return `<text x="${x}" y="15">${title}</text><svg x="${x}" y="${TITLE}" width="${panelWidth}" height="${PANEL_HEIGHT}" viewBox="${box}" preserveAspectRatio="none">${content}</svg>`
  }
}

/** One path a level of rank, in units of cells, so that thousands of tokens stay a small file. */
function cells(ranks: ArrayLike<number>, { rows, columns }: PatchGrid, region: Region): string {
  const paths = Array.from({ length: LEVELS }, () => '')
  for (let token = 0; token < ranks.length; token++) {
    const level = Math.floor(((ranks[token] as number) / ranks.length) * LEVELS)
    paths[level] += `M${token % columns} ${Math.floor(token / columns)}h1v1h-1z`
  }
  const scale = `${round(region.width / columns)} ${round(region.height / rows)}`
  const drawn = paths.map((d, level) => (d ? `<path fill="${heat(level / (LEVELS - 1))}" d="${d}"/>` : ''))
  return `<g transform="translate(${round(region.x)} ${round(region.y)}) scale(${scale})" opacity="0.68" shape-rendering="crispEdges">${drawn.join('')}</g>`
}

/** Control points of the viridis map. */
const HEAT = ['#440154', '#414487', '#2a788e', '#22a884', '#7ad151', '#fde725'] as const

function heat(share: number): string {
  const at = share * (HEAT.length - 1)
  const low = Math.min(Math.floor(at), HEAT.length - 2)
  const channel = (i: number) => {
    const [from, to] = [low, low + 1].map((k) => parseInt((HEAT[k] as string).slice(1 + 2 * i, 3 + 2 * i), 16))
    return Math.round((from as number) + ((to as number) - (from as number)) * (at - low))
  }
  return `rgb(${channel(0)},${channel(1)},${channel(2)})`
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}

/** Pictures on one page need names of their own. */
function hashOf(text: string): string {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) >>> 0
  return hash.toString(36)
}
