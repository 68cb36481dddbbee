import type { Dim, Shape } from './shapes.js'

/** Position of an axis that may count from the end. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

/** Numpy broadcasting, with null for what is unknown. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = i < rank - a.length ? 1 : (a[i - rank + a.length] ?? null)
    const y = i < rank - b.length ? 1 : (b[i - rank + b.length] ?? null)
    return x === 1 ? y : y === 1 ? x : (x ?? y)
  })
}

/** Integer arithmetic on shapes, element by element. */
export function arithmetic(op: string, inputs: readonly (readonly Dim[] | undefined)[]): readonly Dim[] | undefined {
  const length = Math.max(...inputs.map((values) => values?.length ?? 0))
  if (inputs.some((values) => !values || (values.length !== length && values.length !== 1))) return undefined
  return Array.from({ length }, (_, i) => {
    const row = inputs.map((values) => values?.[values.length === 1 ? 0 : i] ?? null)
    return row.includes(null) && op !== 'Where' ? null : calculate(op, row)
  })
}

function calculate(op: string, row: readonly Dim[]): Dim {
  const [a, b, c] = row as number[]
  if (op === 'Where') return row[0] === null ? null : ((a ? b : c) ?? null)
  if (a === undefined || b === undefined) return null
  if (op === 'Mul') return a * b
  if (op === 'Add') return a + b
  if (op === 'Sub') return a - b
  if (op === 'Div') return b === 0 ? null : Math.trunc(a / b)
  return op === 'Equal' ? Number(a === b) : null
}

/** The -1 of a Reshape; unknown lengths that stay in place (a batch) cancel out. */
export function openDimension(input: Shape | undefined, dims: readonly Dim[]): Dim {
  if (!input) return null
  const unknownIn = input.filter((dim) => dim === null).length
  const unknownOut = dims.filter((dim) => dim === null).length
  if (unknownIn !== unknownOut || (unknownIn > 0 && (unknownIn > 1 || input[0] !== null || dims[0] !== null)))
    return null
  const size = (shape: readonly Dim[]): number => shape.reduce<number>((product, dim) => product * (dim ?? 1), 1)
  const rest = -size(dims)
  return rest > 0 && size(input) % rest === 0 ? size(input) / rest : null
}

/** How many elements a Slice takes of an axis; null unless all is known and it takes every one. */
export function sliceLength(size: Dim, start: Dim, end: Dim, step: Dim): Dim {
  if (size === null || start === null || end === null || step !== 1) return null
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size)
  return Math.max(clamp(end) - clamp(start), 0)
}
