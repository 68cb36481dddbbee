import * as Plot from '@observablehq/plot'
import type { CellSummary, Estimate, SetSummary, TimeSummary } from '../evaluation/index.js'
import { chart, COLOURS } from './chart.js'

/** One line of a figure: a variant over its budgets. */
interface Series {
  readonly label: string
  readonly colour: string
  readonly dash: string
  readonly points: readonly (Estimate & { readonly tokens: number })[]
}

const DASHES = ['none', '6 3', '2 3'] as const
const RIGHT = 150

/**
 * Share of the unpruned model's result that each variant keeps, against the visual tokens that it keeps, with 95 % bootstrap
 * intervals.
 *
 * @param labels The variants to draw.
 */
export function keptFigure({ title, headline, cells }: SetSummary, labels: readonly string[]): string {
  const series = labels.map((label, i) => seriesOf(label, i, cells, ({ keptShare }) => keptShare))
  return chart(`${title}: ${headline} kept, by visual tokens`, {
    width: 760,
    height: 460,
    marginRight: RIGHT,
    x: { label: 'visual tokens kept', grid: true, nice: true },
    y: { label: `% of ${headline} with all tokens`, grid: true, nice: true },
    marks: [
      Plot.ruleY([100], { strokeOpacity: 0.5, strokeDasharray: '2 3' }),
      ...series.flatMap(lineOf),
      endLabels(series),
    ],
  })
}

/** The result of each task (type of question) against the visual tokens kept, a panel a task. */
export function tasksFigure({ title, headline, scale, cells }: SetSummary, labels: readonly string[]): string {
  const types = (cells[0]?.types ?? []).map(({ type }) => type)
  const columns = Math.min(4, types.length)
  const factor = scale === 'share' ? 100 : 1
  const place = (type: string) => {
    const at = types.indexOf(type)
    return { fx: at % columns, fy: Math.floor(at / columns) }
  }
  const points = labels.flatMap((label, i) =>
    cells
      .filter((cell) => cell.label === label)
      .flatMap(({ tokens, types }) =>
        types.map(({ type, value }) => ({ ...place(type), label, tokens, value: factor * value, ...styleOf(i) })),
      ),
  )
  const whole = (cells[0]?.types ?? []).map(({ type, value }) => ({ ...place(type), value: factor * value }))
  const names = types.map((type) => ({ ...place(type), type }))
  return chart(`${title}: ${headline} by task and visual tokens; the dotted line is that of all tokens`, {
    width: 900,
    height: 90 + 170 * Math.ceil(types.length / columns),
    marginTop: 56,
    fx: { axis: null },
    fy: { axis: null },
    x: { label: 'visual tokens kept', ticks: 3 },
    y: { label: null, grid: true, ticks: 4 },
    marks: [
      Plot.frame({ strokeOpacity: 0.25 }),
      Plot.ruleY(whole, { fx: 'fx', fy: 'fy', y: 'value', strokeOpacity: 0.6, strokeDasharray: '2 3' }),
      ...labels.flatMap((label, i) => [
        Plot.line(
          points.filter((point) => point.label === label).sort((a, b) => a.tokens - b.tokens),
          {
            fx: 'fx',
            fy: 'fy',
            x: 'tokens',
            y: 'value',
            z: (p: { fx: number; fy: number }) => `${p.fx} ${p.fy}`,
            stroke: styleOf(i).colour,
            strokeDasharray: styleOf(i).dash,
          },
        ),
      ]),
      Plot.text(names, { fx: 'fx', fy: 'fy', text: 'type', frameAnchor: 'top', dy: -12, fontWeight: 'bold' }),
      ...labels.map((label, i) =>
        Plot.text([{ fx: 0, fy: 0 }], {
          fx: 'fx',
          fy: 'fy',
          text: () => `${styleOf(i).dash === 'none' ? '\u25cf' : '\u25cc'} ${label}`,
          frameAnchor: 'top-left',
          dx: (i % 7) * 122,
          dy: -50 + Math.floor(i / 7) * 13,
          textAnchor: 'start',
          fontSize: 10,
          fill: styleOf(i).colour,
        }),
      ),
    ],
  })
}

/**
 * Result against the time to the first token; the line joins the cells that no other beats in both.
 *
 * @param times Of the same run.
 */
export function paretoFigure(summary: SetSummary, times: readonly TimeSummary[], labels: readonly string[]): string {
  const { title, headline, scale, cells } = summary
  const factor = scale === 'share' ? 100 : 1
  const timeOf = new Map(times.map(({ cell, firstTokenMs }) => [cell, firstTokenMs]))
  const points = cells.flatMap((cell) => {
    const ms = timeOf.get(cell.cell)
    const i = labels.indexOf(cell.label)
    if (ms === undefined || (i < 0 && cell.budget !== '')) return []
    const { value, low95, high95 } = cell.result
    const style = i < 0 ? { colour: 'currentColor', dash: 'none' } : styleOf(i)
    const name = cell.budget === '' ? cell.label : `${cell.label} ${cell.budget}`
    return [{ name, ms, value: factor * value, low: factor * low95, high: factor * high95, ...style }]
  })
  const front = points
    .filter(
      (a) => !points.some((b) => b !== a && b.ms <= a.ms && b.value >= a.value && (b.ms < a.ms || b.value > a.value)),
    )
    .sort((a, b) => a.ms - b.ms)
  return chart(`${title}: ${headline} against the time to the first token`, {
    width: 760,
    height: 460,
    marginRight: 110,
    x: { label: 'time to first token, ms (median)', grid: true, nice: true },
    y: { label: headline, grid: true, nice: true },
    marks: [
      Plot.line(front, { x: 'ms', y: 'value', strokeOpacity: 0.5, strokeDasharray: '4 3' }),
      Plot.ruleX(points, { x: 'ms', y1: 'low', y2: 'high', stroke: 'colour', strokeOpacity: 0.3 }),
      Plot.dot(points, { x: 'ms', y: 'value', fill: 'colour', r: 3.5 }),
      Plot.text(front, { x: 'ms', y: 'value', text: 'name', dx: 6, dy: -6, textAnchor: 'start', fontSize: 11 }),
    ],
  })
}

function styleOf(index: number): { readonly colour: string; readonly dash: string } {
  return {
    colour: COLOURS[index % COLOURS.length] as string,
    dash: DASHES[Math.floor(index / COLOURS.length) % DASHES.length] as string,
  }
}

function seriesOf(
  label: string,
  index: number,
  cells: readonly CellSummary[],
  of: (cell: CellSummary) => Estimate,
): Series {
  const own = cells.filter((cell) => cell.label === label).sort((a, b) => a.tokens - b.tokens)
  const points = own.map((cell) => {
    const { value, low95, high95 } = of(cell)
    return { tokens: cell.tokens, value: 100 * value, low95: 100 * low95, high95: 100 * high95 }
  })
  return { label, points, ...styleOf(index) }
}

function lineOf({ points, colour, dash }: Series): Plot.Markish[] {
  return [
    Plot.ruleX(points, { x: 'tokens', y1: 'low95', y2: 'high95', stroke: colour, strokeOpacity: 0.3 }),
    Plot.line(points, { x: 'tokens', y: 'value', stroke: colour, strokeWidth: 2, strokeDasharray: dash }),
    Plot.dot(points, { x: 'tokens', y: 'value', fill: colour, r: 3 }),
  ]
}

/** Names in the right margin, in the order of the lines' ends. */
function endLabels(series: readonly Series[]): Plot.Markish {
  const ends = series
    .flatMap(({ label, colour, dash, points }) => {
      const last = points.at(-1)
      return last ? [{ label, colour, dash, value: last.value }] : []
    })
    .sort((a, b) => b.value - a.value)
  return ends.map(({ label, colour, dash }, i) =>
    Plot.text([`${dash === 'none' ? '\u25cf' : dash === '6 3' ? '\u25cc' : '\u25cb'} ${label}`], {
      frameAnchor: 'top-right',
      dx: 10,
      dy: 4 + i * 17,
      textAnchor: 'start',
      fill: colour,
      fontSize: 12,
    }),
  )
}
