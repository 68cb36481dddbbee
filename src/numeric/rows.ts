import { floatsOfRows, rowOf, type Arena, type Rows } from './arena.js'

/** Copies vectors into the arena. @param values Row-major `[numRows, D]`. */
export function loadRows(arena: Arena, values: ArrayLike<number>, numRows: number): Rows {
  const size = values.length / numRows
  const rows = arena.rows(numRows, size)
  if (rows.width === size) rows.values.set(values)
  else for (let i = 0; i < numRows; i++) copyRow(rows.values, i * rows.width, values, i * size, size)
  return rows
}

/** Copies vectors at length 1 into the arena; a vector of zeros stays zeros. @param values Row-major `[numRows, D]`. */
export function loadUnitRows(arena: Arena, values: ArrayLike<number>, numRows: number): Rows {
  const rows = loadRows(arena, values, numRows)
  const floats = rows.values
  for (let start = 0; start < floats.length; start += rows.width) {
    scaleToUnit(floats.subarray(start, start + rows.width))
  }
  return rows
}

/** In place; zeros stay zeros. */
export function scaleToUnit(row: Float32Array): void {
  const squares = sumOfSquares(row)
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
  for (let d = 0; d < row.length; d++) row[d] = (row[d] as number) * scale
}

/** The rows at the given indices, as a copy in the arena. */
export function gatherRows(arena: Arena, rows: Rows, indices: ArrayLike<number>): Rows {
  const gathered = arena.rows(indices.length, rows.width)
  for (let i = 0; i < indices.length; i++) gathered.values.set(rowOf(rows, indices[i] as number), i * rows.width)
  return gathered
}

/** Floats of an arena that {@link loadRows} takes for a matrix. */
export function floatsOfMatrix(values: ArrayLike<number>, numRows: number): number {
  return floatsOfRows(numRows, values.length / numRows)
}

function copyRow(to: Float32Array, start: number, from: ArrayLike<number>, fromStart: number, length: number): void {
  for (let d = 0; d < length; d++) to[start + d] = from[fromStart + d] as number
}

/** In float64. */
export function sumOfSquares(values: Float32Array): number {
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += (values[i] as number) * (values[i] as number)
  return squares
}

/** The values as float32: themselves if they are. */
export function asFloat32(values: ArrayLike<number>): Float32Array {
  return values instanceof Float32Array ? values : new Float32Array(values)
}
