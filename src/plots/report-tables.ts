import type { StudyNumbers } from '../analysis/index.js'
import { escapeXml } from './chart.js'

/** All curves by layer; the chosen object layer stands out. */
export function layerTable({ depth, dispersion, iou, layers, phases }: StudyNumbers): string {
  const head = [
    'layer',
    ...dispersion.map(({ share }) => `dispersion, top ${100 * share} %`),
    ...(iou ? ['IoU', '95 %', 'IoU / L/2'] : []),
    'phase',
  ]
  const rows = Array.from({ length: depth }, (_, i) => {
    const interval = iou ? `${fixed(iou.low95[i])}-${fixed(iou.high95[i])}` : ''
    return {
      chosen: i + 1 === layers.objectLayer,
      cells: [
        String(i + 1),
        ...dispersion.map(({ mean }) => fixed(mean[i])),
        ...(iou ? [fixed(iou.mean[i], 3), interval, fixed(iou.relative[i])] : []),
        phaseOf(phases, i + 1),
      ],
    }
  })
  return table('Means over images. The chosen object layer is bold.', head, rows)
}

/** SPEC 6: IoU relative to layer L/2 on COCO val2017, as the paper prints it. */
const PAPER = [
  ['CLIP-L', '.58', '1', '.80'],
  ['CLIP-B', '.34', '1', '.79'],
  ['SigLIP', '.57', '1', '.66'],
  ['SigLIP2', '.62', '1', '.64'],
  ['DeiT', '.27', '1', '.59'],
  ['V-JEPA2', '.82', '1', '.26'],
]

export function paperTable(): string {
  const rows = PAPER.map((cells) => ({ chosen: false, cells }))
  return table(
    'The paper, other encoders on other images (COCO val2017): IoU relative to layer L/2.',
    ['encoder', 'layer 1', 'layer L/2', 'layer L'],
    rows,
  )
}

/** @param head Column names; the first column is text. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly { readonly chosen: boolean; readonly cells: readonly string[] }[],
): string {
  const line = (cells: readonly string[], tag: 'th' | 'td') =>
    cells.map((cell) => `<${tag}>${escapeXml(cell)}</${tag}>`).join('')
  const body = rows.map(({ chosen, cells }) => `<tr${chosen ? ' class="chosen"' : ''}>${line(cells, 'td')}</tr>`)
  return `<div class="scroll"><table><caption>${escapeXml(caption)}</caption><thead><tr>${line(head, 'th')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

function phaseOf(phases: StudyNumbers['phases'], layer: number): string {
  const found = Object.entries(phases ?? {}).find(([, range]) => {
    const [first, last] = (range as [number, number] | null) ?? [0, 0]
    return layer >= first && layer <= last
  })
  return found?.[0] ?? ''
}

function fixed(value: number | undefined, digits = 2): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits)
}
