import * as Plot from '@observablehq/plot'
import type { LayerCurve, StudyNumbers } from '../analysis/index.js'
import { chart, COLOURS, layerAxis, layerMark, legend } from './chart.js'

/** IoU of the top 10 % tokens with the objects, by layer, with its bootstrap interval, chance and the best possible. */
export function iouFigure({ iou, layers, depth, middleLayer }: StudyNumbers): string {
  if (!iou) throw new TypeError('a study without masks has no IoU')
  return chart('IoU of the top 10 % of tokens with object tokens, by layer', {
    x: layerAxis(depth),
    y: { label: 'IoU', grid: true, domain: [0, Math.max(...iou.high95, iou.best) * 1.12] },
    marks: [
      ...level(iou.chance, 'random choice'),
      ...level(iou.best, 'best possible'),
      ...layerMark(middleLayer, middleLayer === layers.objectLayer ? 'L/2, object layer' : 'L/2'),
      ...(middleLayer === layers.objectLayer ? [] : layerMark(layers.objectLayer, 'object layer')),
      ...curve(iou, COLOURS[0]),
    ],
  })
}

/** The same relative to layer L/2, as the paper's table gives it. */
export function relativeIouFigure({ iou, depth, middleLayer }: StudyNumbers): string {
  if (!iou) throw new TypeError('a study without masks has no IoU')
  const middle = iou.mean[middleLayer - 1] as number
  const scaled = {
    mean: iou.relative,
    low95: iou.low95.map((v) => v / middle),
    high95: iou.high95.map((v) => v / middle),
  }
  return chart('IoU relative to layer L/2, by layer', {
    x: layerAxis(depth),
    y: { label: 'IoU / IoU of layer L/2', grid: true, domain: [0, Math.max(...scaled.high95) * 1.05] },
    marks: [...level(1, ''), ...layerMark(middleLayer, 'L/2'), ...curve(scaled, COLOURS[0])],
  })
}

/** Dispersion of the top 5, 10 and 25 % of tokens by layer, with phases where a jump was found. */
export function dispersionFigure({ dispersion, spread, layers, phases, depth }: StudyNumbers): string {
  const names = dispersion.map(({ share }, i) => ({ name: `top ${100 * share} %`, colour: COLOURS[i] as string }))
  return chart('Mean distance among the most attended tokens, by layer', {
    x: layerAxis(depth),
    y: { label: 'dispersion', grid: true, domain: [0, Math.max(spread, ...dispersion.flatMap((d) => d.high95)) * 1.2] },
    marks: [
      ...(phases ? phaseBands(phases) : []),
      ...level(spread, 'all tokens'),
      ...layerMark(layers.objectLayer, layers.method === 'fallback' ? 'object layer (fallback)' : 'object layer'),
      ...dispersion.flatMap((one, i) => curve(one, COLOURS[i] as string)),
      ...legend(names),
    ],
  })
}

function curve({ mean, low95, high95 }: Pick<LayerCurve, 'mean' | 'low95' | 'high95'>, colour: string): Plot.Markish[] {
  const points = mean.map((value, i) => ({ layer: i + 1, value, low: low95[i] as number, high: high95[i] as number }))
  return [
    Plot.areaY(points, { x: 'layer', y1: 'low', y2: 'high', fill: colour, fillOpacity: 0.18 }),
    Plot.lineY(points, { x: 'layer', y: 'value', stroke: colour, strokeWidth: 2 }),
    Plot.dot(points, { x: 'layer', y: 'value', fill: colour, r: 3 }),
  ]
}

/** A horizontal line with its name. */
function level(value: number, name: string): Plot.Markish[] {
  return [
    Plot.ruleY([value], { strokeOpacity: 0.45, strokeDasharray: '2 3' }),
    Plot.text(name ? [name] : [], {
      y: value,
      frameAnchor: 'left',
      dx: 4,
      dy: -6,
      textAnchor: 'start',
      fontSize: 12,
      fillOpacity: 0.75,
    }),
  ]
}

function phaseBands({ shallow, middle, deep }: NonNullable<StudyNumbers['phases']>): Plot.Markish[] {
  const bands = Object.entries({ shallow, middle, deep }).flatMap(([name, range]) => (range ? [{ name, range }] : []))
  return bands.flatMap(({ name, range: [first, last] }, i) => [
    Plot.rect([0], {
      x1: Math.max(1, first - 0.5),
      x2: last + (name === 'deep' ? 0 : 0.5),
      fill: 'currentColor',
      fillOpacity: 0.03 + 0.04 * ((i + 1) % 2),
    }),
    Plot.text([name], { x: (first + last) / 2, frameAnchor: 'top', dy: 4, fontSize: 12, fillOpacity: 0.75 }),
  ])
}
