import { ArgumentError } from '../errors.js'
import { bufferShapes, bufferSteps, type BufferShape } from '../pruning/buffers.js'
import { dataTypes, type GraphPatch } from './graph-patch.js'
import type { GridSource } from './grid-source.js'
import { cast, unsqueeze } from './verbs.js'

export { bufferShapes, type BufferShape }

/** Who brings a token in: for every token, itself and the anchors whose buffer it is. */
export interface NeighbourTable {
  /** int64 [tokens, m]: indices of possible anchors; the number of tokens stands for "none". */
  readonly sources: string
  /** int64 [m] or [tokens, m]: place of the token behind such an anchor; 0 is the anchor itself. */
  readonly places: string
  /** b of SPEC 2. */
  readonly buffersPerAnchor: number
}

/** The table as nodes of the graph (`grid`), or as a constant (`clamp`, where neighbourhood is not mutual). */
export function neighbourTable(
  patch: GraphPatch,
  grid: GridSource,
  shape: BufferShape,
  borders: 'grid' | 'clamp',
): NeighbourTable {
  const buffersPerAnchor = bufferSteps[shape].length
  if (borders === 'grid') return { ...tableOnGrid(patch, grid, shape), buffersPerAnchor }
  if (!grid.fixed) throw new ArgumentError('borders', borders, "'grid' for an encoder of dynamic resolution")
  return { ...clampedTable(patch, grid.fixed.rows, grid.fixed.columns, shape), buffersPerAnchor }
}

/** A token is the buffer that lies at step s of an anchor when that anchor lies at step -s of the token. */
function tableOnGrid(
  patch: GraphPatch,
  grid: GridSource,
  shape: BufferShape,
): Omit<NeighbourTable, 'buffersPerAnchor'> {
  const all = [[0, 0] as const, ...bufferSteps[shape]]
  const token = unsqueeze(patch, grid.tokens, [1]) // [tokens, 1]
  const row = patch.node('Add', [patch.node('Div', [token, grid.columns]), patch.integers(all.map(([down]) => down))])
  const column = patch.node('Add', [
    patch.node('Mod', [token, grid.columns]),
    patch.integers(all.map(([, right]) => right)),
  ])
  const inside = patch.node('And', [within(patch, row, grid.rows), within(patch, column, grid.columns)])
  const index = patch.node('Add', [patch.node('Mul', [row, grid.columns]), column])
  return {
    sources: patch.node('Where', [inside, index, grid.count]),
    places: patch.integers([0, ...bufferSteps[shape].map((_, i) => bufferSteps[shape].length - i)]),
  }
}

/** 0 <= value < limit. */
function within(patch: GraphPatch, value: string, limit: string): string {
  const notNegative = patch.node('Less', [patch.integers([-1]), value])
  return patch.node('And', [notNegative, patch.node('Less', [value, limit])])
}

/** The paper's public code clamps the flat index: a token may be the buffer of many anchors. */
function clampedTable(
  patch: GraphPatch,
  rows: number,
  columns: number,
  shape: BufferShape,
): Omit<NeighbourTable, 'buffersPerAnchor'> {
  const count = rows * columns
  const found = Array.from({ length: count }, (_, token) => [{ source: token, place: 0 }])
  for (let anchor = 0; anchor < count; anchor++) {
    for (const [i, [down, right]] of bufferSteps[shape].entries()) {
      const token = Math.min(Math.max(anchor + down * columns + right, 0), count - 1)
      found[token]?.push({ source: anchor, place: i + 1 })
    }
  }
  const width = Math.max(...found.map((list) => list.length))
  const fill = (list: { source: number; place: number }[], key: 'source' | 'place', none: number): number[] =>
    Array.from({ length: width }, (_, i) => list[i]?.[key] ?? none)
  return {
    sources: patch.integerMatrix(
      width,
      found.flatMap((list) => fill(list, 'source', count)),
    ),
    places: patch.integerMatrix(
      width,
      found.flatMap((list) => fill(list, 'place', 0)),
    ),
  }
}

/** Counts as float64, for arithmetic that has to round as the host does. */
export function toDouble(patch: GraphPatch, value: string): string {
  return cast(patch, value, dataTypes.double)
}
