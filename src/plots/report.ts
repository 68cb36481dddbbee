import { masksInWords, type Finding, type StudyNumbers } from '../analysis/index.js'
import { escapeXml } from './chart.js'
import { reportStyle } from './report-style.js'
import { layerTable, paperTable } from './report-tables.js'

/** A figure of the report. */
export interface ReportFigure {
  /** File name without extension, unique. */
  readonly id: string
  readonly title: string
  /** One or two sentences: what is drawn and how to read it. */
  readonly caption: string
  readonly svg: string
  /** Takes the page's whole width. */
  readonly wide?: boolean
}

export interface ReportInput {
  readonly title: string
  readonly numbers: StudyNumbers
  /** What the numbers depend on: encoder, images, seed, machine, versions, command. */
  readonly facts: Readonly<Record<string, string>>
  readonly figures: readonly ReportFigure[]
  /** One paragraph about redundancy, in words. */
  readonly redundancy: string
}

/** The whole study as one HTML file without anything from outside. */
export function reportHtml({ title, numbers, facts, figures, redundancy }: ReportInput): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeXml(title)}</title><style>${reportStyle}</style></head>
<body><main>
<h1>${escapeXml(title)}</h1>
<p class="soft">Does this encoder show the hierarchy that HiPrune builds on: objects in the middle layers, global information in the deep ones?</p>
<div class="cards">${cards(numbers)}</div>
<h2>By layer</h2>
<div class="figures">${figures
    .filter(({ wide }) => !wide)
    .map(figureHtml)
    .join('\n')}</div>
<h2>On images</h2>
<div class="figures">${figures
    .filter(({ wide }) => wide)
    .map(figureHtml)
    .join('\n')}</div>
<h2>Redundancy</h2>
<p>${escapeXml(redundancy)}</p>
<h2>Numbers</h2>
${layerTable(numbers)}
<h2>For orientation</h2>
${paperTable()}
<p class="soft">The paper's CLIP-L dispersion of the top 5 %: 31 at first, 26 in layers 5 to 9, a jump to 58 at layer 10. Numbers of two studies with other images and encoders cannot be compared one by one.</p>
<h2>How this was made</h2>
<dl>${Object.entries(facts)
    .map(([name, value]) => `<dt>${escapeXml(name)}</dt><dd>${escapeXml(value)}</dd>`)
    .join('')}</dl>
</main></body>
</html>
`
}

function cards({ findings, layers, iou }: StudyNumbers): string {
  const best = iou ? ` ${capital(masksInWords(layers.objectLayer, iou))}.` : ''
  const object = `Object layer ${layers.objectLayer}, deep layer ${layers.deepLayer}`
  const agreement = `${Math.round(100 * layers.jump.agreement)} % of bootstrap samples have the largest rise at layer ${layers.jump.layers[0]}.`
  return [
    findingCard('Middle layers look at objects', findings.objectsInTheMiddle),
    findingCard('Deep layers look everywhere', findings.globalInTheDeep),
    `<div class="card"><h3>${object}</h3><p>${escapeXml(`${capital(layers.reason)}. ${agreement}${best}`)}</p></div>`,
  ].join('')
}

function findingCard(title: string, finding: Finding | null): string {
  if (!finding)
    return `<div class="card"><h3>${title}: not measured</h3><p>Needs object masks (--masks or --coco).</p></div>`
  const [word, name] = finding.shows ? ['shows', 'yes'] : ['does not show', 'no']
  return `<div class="card"><h3>${title}: <span class="${name}">${word}</span></h3><p>${escapeXml(capital(finding.reading))}.</p></div>`
}

function figureHtml({ id, title, caption, svg, wide }: ReportFigure): string {
  return `<figure id="${id}"${wide ? ' class="wide"' : ''}><strong>${escapeXml(title)}</strong>${svg}<figcaption>${escapeXml(caption)}</figcaption></figure>`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
