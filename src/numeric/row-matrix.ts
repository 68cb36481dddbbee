/** Float32 vectors one after the other. */
export interface RowMatrix {
  /** Row-major `[numRows, width]`. */
  readonly values: Float32Array
  readonly numRows: number
  readonly width: number
}

/** @param values Row-major `[numRows, values.length / numRows]`. */
export function rowMatrix(values: ArrayLike<number>, numRows: number): RowMatrix {
  const floats = values instanceof Float32Array ? values : new Float32Array(values)
  return { values: floats, numRows, width: floats.length / numRows }
}

/** The rows at length 1, as a copy; a row of zeros stays zeros. */
export function unitRows(values: ArrayLike<number>, numRows: number): RowMatrix {
  const width = values.length / numRows
  const unit = new Float32Array(values.length)
  for (let start = 0; start < values.length; start += width) {
    let squares = 0
    for (let d = start; d < start + width; d++) squares += (values[d] as number) * (values[d] as number)
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
    for (let d = start; d < start + width; d++) unit[d] = (values[d] as number) * scale
  }
  return { values: unit, numRows, width }
}
