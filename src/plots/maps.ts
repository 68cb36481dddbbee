import * as Plot from '@observablehq/plot'
import type { StudyNumbers } from '../analysis/index.js'
import { chart, COLOURS } from './chart.js'

/** t-SNE of the layers' rank vectors: neighbouring layers that rank tokens alike lie together. */
export function layerMapFigure({ layerMap, depth, layers }: StudyNumbers): string {
  const points = Array.from({ length: depth }, (_, i) => ({
    layer: i + 1,
    x: layerMap.points[2 * i] as number,
    y: layerMap.points[2 * i + 1] as number,
  }))
  const chosen = points.filter(({ layer }) => layer === layers.objectLayer)
  return chart('t-SNE of the layers by their ranking of tokens', {
    height: 420,
    axis: null,
    inset: 24,
    color: { type: 'linear', scheme: 'viridis', domain: [1, depth * 1.15] },
    marks: [
      Plot.line(points, { x: 'x', y: 'y', strokeOpacity: 0.3 }),
      Plot.dot(chosen, { x: 'x', y: 'y', r: 15, stroke: COLOURS[1], strokeWidth: 2 }),
      Plot.dot(points, { x: 'x', y: 'y', r: 11, fill: 'layer' }),
      Plot.text(points, { x: 'x', y: 'y', text: 'layer', fill: 'white', fontWeight: 'bold', fontSize: 12 }),
    ],
  })
}

/** A panel of {@link tokenMapFigure}. */
export interface TokenPanel {
  /** 1-based. */
  readonly layer: number
  /** `[N]` 1 for tokens among the top 50 % of this layer. */
  readonly isTop: Uint8Array
}

/** t-SNE of one image's tokens, once a layer, with the top 50 % of the layer marked. @param points Row-major `[N, 2]`. */
export function tokenMapFigure(points: ArrayLike<number>, panels: readonly TokenPanel[]): string {
  const dots = panels.flatMap(({ layer, isTop }) =>
    Array.from(isTop, (top, i) => ({
      layer: `layer ${layer}`,
      top: top === 1,
      x: points[2 * i],
      y: points[2 * i + 1],
    })),
  )
  const top = dots.filter((dot) => dot.top)
  return chart('t-SNE of tokens with the top 50 % of each layer marked', {
    width: Math.max(640, panels.length * 200),
    height: 250,
    x: { axis: null },
    y: { axis: null },
    fx: { label: null, domain: panels.map(({ layer }) => `layer ${layer}`) },
    inset: 8,
    marks: [
      Plot.frame({ strokeOpacity: 0.2 }),
      Plot.dot(dots, { fx: 'layer', x: 'x', y: 'y', r: 1.6, fill: 'currentColor', fillOpacity: 0.25 }),
      Plot.dot(top, { fx: 'layer', x: 'x', y: 'y', r: 1.9, fill: COLOURS[1] }),
    ],
  })
}

/** A bar of {@link barFigure}. */
export interface Bar {
  readonly name: string
  readonly value: number
}

/** Horizontal bars with their values, e.g. the two halves of redundancy. */
export function barFigure(label: string, bars: readonly Bar[], axis: string, most: number): string {
  return chart(label, {
    height: 74 + 36 * bars.length,
    marginLeft: 230,
    marginRight: 50,
    x: { label: axis, domain: [0, most], grid: true },
    y: { label: null, domain: bars.map(({ name }) => name) },
    marks: [
      Plot.barX(bars, { x: 'value', y: 'name', fill: COLOURS[0], insetTop: 4, insetBottom: 4 }),
      Plot.text(bars, { x: 'value', y: 'name', text: (bar: Bar) => bar.value.toFixed(2), dx: 6, textAnchor: 'start' }),
    ],
  })
}
