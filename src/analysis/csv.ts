import type { LayerCurve, StudyNumbers } from './numbers.js'

/** One row a layer with every curve of a study, comma separated, with a header line. */
export function layersCsv({ dispersion, iou, layerMap, depth }: StudyNumbers): string {
  const columns: [string, (layer: number) => number][] = [
    ...dispersion.flatMap((curve) => curveColumns(`dispersion_top${Math.round(100 * curve.share)}`, curve)),
    ...(iou ? curveColumns('iou', iou) : []),
    ...(iou ? [column('iou_relative', iou.relative)] : []),
    ['layer_map_x', (layer) => layerMap.points[2 * layer] as number],
    ['layer_map_y', (layer) => layerMap.points[2 * layer + 1] as number],
  ]
  const header = ['layer', ...columns.map(([name]) => name)]
  const rows = Array.from({ length: depth }, (_, i) => [
    i + 1,
    ...columns.map(([, valueAt]) => valueAt(i).toPrecision(6)),
  ])
  return [header, ...rows].map((row) => `${row.join(',')}\n`).join('')
}

function curveColumns(name: string, curve: LayerCurve): [string, (layer: number) => number][] {
  const { mean, deviation, low95, high95 } = curve
  return [
    column(`${name}_mean`, mean),
    column(`${name}_deviation`, deviation),
    column(`${name}_low95`, low95),
    column(`${name}_high95`, high95),
  ]
}

function column(name: string, values: readonly number[]): [string, (layer: number) => number] {
  return [name, (layer) => values[layer] as number]
}
