import { TokenRole, type PatchGrid, type TokenSelection } from '../pruning/index.js'

/** A picture and what was kept of it. */
export interface OverlayPanel {
  /** Any URL an SVG image may have, usually a data URI. */
  readonly href: string
  /** Pixels of the picture behind `href`. */
  readonly width: number
  readonly height: number
  /** The part of the picture that the model saw, in its pixels; the whole picture when absent. */
  readonly seen?: Region
  readonly grid: PatchGrid
  readonly selection: TokenSelection
}

export interface Region {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Colours that stay apart for colour-blind readers (Okabe and Ito). */
const ROLES: readonly { role: TokenRole; name: string; colour: string }[] = [
  { role: TokenRole.anchor, name: 'anchor', colour: '#d55e00' },
  { role: TokenRole.buffer, name: 'buffer', colour: '#f0e442' },
  { role: TokenRole.register, name: 'register', colour: '#56b4e9' },
  { role: TokenRole.text, name: 'text', colour: '#00c58e' },
  { role: TokenRole.none, name: 'kept', colour: '#ffffff' },
]

const PANEL_HEIGHT = 480
const GAP = 16
const LEGEND_HEIGHT = 40
/** Wide enough for DejaVu Sans at this size. */
const LETTER_WIDTH = 9.5
const FONT = "font-family='DejaVu Sans, sans-serif' font-size='15'"

/**
 * Draws images with their dropped visual tokens dimmed and anchor, buffer, register and text tokens framed in their colours,
 * with a legend.
 *
 * @param title One line above the pictures, e.g. 'hiprune: 65 of 196 visual tokens'.
 * @returns A self-contained SVG document, provided every `href` is a data URI.
 */
export function overlaySvg(panels: readonly OverlayPanel[], title: string): string {
  const widths = panels.map(({ width, height }) => Math.round((width * PANEL_HEIGHT) / height))
  const legend = drawLegend(panels, PANEL_HEIGHT + LEGEND_HEIGHT + GAP)
  const panelsWidth = widths.reduce((sum, width) => sum + width + GAP, GAP)
  const totalWidth = Math.max(panelsWidth, legend.width, GAP + title.length * LETTER_WIDTH)
  const totalHeight = PANEL_HEIGHT + 2 * LEGEND_HEIGHT + GAP
  let x = GAP
  const drawn = panels.map((panel, i) => {
    const width = widths[i] as number
    const group = `<svg x='${x}' y='${LEGEND_HEIGHT}' width='${width}' height='${PANEL_HEIGHT}' viewBox='0 0 ${panel.width} ${panel.height}' preserveAspectRatio='none'>${drawPanel(panel)}</svg>`
    x += width + GAP
    return group
  })
  return [
    `<svg xmlns='http://www.w3.org/2000/svg' width='${totalWidth}' height='${totalHeight}' viewBox='0 0 ${totalWidth} ${totalHeight}'>`,
    `<rect width='100%' height='100%' fill='#16181d'/>`,
    `<text x='${GAP}' y='26' fill='#ffffff' ${FONT}>${escapeXml(title)}</text>`,
    ...drawn,
    legend.svg,
    '</svg>',
  ].join('\n')
}

function drawPanel({ href, width, height, seen, grid, selection }: OverlayPanel): string {
  const region = seen ?? { x: 0, y: 0, width, height }
  const cellWidth = region.width / grid.columns
  const cellHeight = region.height / grid.rows
  const cell = (token: number) => ({
    x: region.x + (token % grid.columns) * cellWidth,
    y: region.y + Math.floor(token / grid.columns) * cellHeight,
  })
  // One path with a hole for each kept token dims everything else in a single piece, without seams.
  const holes = Array.from(selection.kept, (token) => {
    const { x, y } = cell(token)
    return `M${round(x)} ${round(y)}h${round(cellWidth)}v${round(cellHeight)}h${round(-cellWidth)}z`
  })
  const stroke = Math.min(cellWidth, cellHeight) * 0.09
  const frames = Array.from(selection.kept, (token, i) => {
    const { x, y } = cell(token)
    const colour = ROLES.find(({ role }) => role === selection.roles[i])?.colour ?? '#ffffff'
    const inset = stroke / 2
    return `<rect x='${round(x + inset)}' y='${round(y + inset)}' width='${round(cellWidth - stroke)}' height='${round(cellHeight - stroke)}' fill='${colour}' fill-opacity='0.14' stroke='${colour}' stroke-width='${round(stroke)}'/>`
  })
  return [
    `<image href='${escapeXml(href)}' width='${width}' height='${height}' preserveAspectRatio='none'/>`,
    `<path fill='#000000' fill-opacity='0.72' fill-rule='evenodd' d='M0 0h${width}v${height}h${-width}z${holes.join('')}'/>`,
    ...frames,
  ].join('\n')
}

function drawLegend(panels: readonly OverlayPanel[], y: number): { svg: string; width: number } {
  let x = GAP
  const entry = (colour: string, opacity: number, label: string) => {
    const at = x
    x += 32 + label.length * LETTER_WIDTH
    return `<rect x='${at}' y='${y}' width='16' height='16' fill='${colour}' fill-opacity='${opacity}' stroke='${colour}' stroke-width='2'/><text x='${at + 23}' y='${y + 13}' fill='#ffffff' ${FONT}>${label}</text>`
  }
  const entries = ROLES.map(({ role, name, colour }) => {
    const count = panels.reduce((sum, { selection }) => sum + selection.roles.filter((r) => r === role).length, 0)
    return count > 0 ? entry(colour, 0.25, `${name} ${count}`) : ''
  })
  const total = panels.reduce((sum, { grid }) => sum + grid.rows * grid.columns, 0)
  const kept = panels.reduce((sum, { selection }) => sum + selection.kept.length, 0)
  const svg = [...entries, entry('#3a3d44', 1, `dropped ${total - kept}`)].filter(Boolean).join('\n')
  return { svg, width: x }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function escapeXml(text: string): string {
  return text.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`)
}
