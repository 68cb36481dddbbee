import { dataTypes, type GraphPatch } from './graph-patch.js'

/** Small operations on values of a patch, written once for all opsets. */

export function cast(patch: GraphPatch, value: string, to: number): string {
  return patch.node('Cast', [value], { to })
}

export function toFloat(patch: GraphPatch, value: string): string {
  return cast(patch, value, dataTypes.float)
}

/** Mean, sum or maximum over axes. ReduceSum took its axes as an input from opset 13 on, the others from 18 on. */
export function reduce(
  patch: GraphPatch,
  op: 'Mean' | 'Sum' | 'Max',
  value: string,
  axes: readonly number[],
  keepDims: boolean,
): string {
  const keepdims = keepDims ? 1 : 0
  const asInput = patch.opset >= (op === 'Sum' ? 13 : 18)
  return asInput
    ? patch.node(`Reduce${op}`, [value, patch.integers(axes)], { keepdims })
    : patch.node(`Reduce${op}`, [value], { axes, keepdims })
}

export function squeeze(patch: GraphPatch, value: string, axes: readonly number[]): string {
  return patch.opset >= 13
    ? patch.node('Squeeze', [value, patch.integers(axes)])
    : patch.node('Squeeze', [value], { axes })
}

export function unsqueeze(patch: GraphPatch, value: string, axes: readonly number[]): string {
  return patch.opset >= 13
    ? patch.node('Unsqueeze', [value, patch.integers(axes)])
    : patch.node('Unsqueeze', [value], { axes })
}

/** `value[..., from:to]` on one axis. */
export function slice(patch: GraphPatch, value: string, axis: number, from: number, to: number): string {
  return patch.node('Slice', [value, patch.integers([from]), patch.integers([to]), patch.integers([axis])])
}

/** A shape without its last length. */
export function leadingDims(patch: GraphPatch, value: string): string {
  return slice(patch, patch.node('Shape', [value]), 0, 0, -1)
}

/** Slice's way of saying "to the end". */
export const toEnd = Number.MAX_SAFE_INTEGER
