import { intAttribute } from './attributes.js'
import type { Encoder } from './encoder.js'
import type { OnnxNode } from './model-reader.js'
import { axisOf } from './shape-arithmetic.js'
import type { TokenPath, TokenStep } from './token-path.js'

/** What happens to tokens between an attention and the features. */
export interface TokenEffects {
  /** Tokens that the graph itself drops at the front (LLaVA drops CLS). */
  readonly dropped: number
  /** Patches that one visual token is made of: 1, 4 for Qwen's 2 x 2; null when it cannot be told. */
  readonly patchesPerToken: number | null
  /** True when tokens change places, as behind window attention. */
  readonly reordered: boolean
}

/** Reads the effects off a token path, without running anything. */
export function tokenEffects(encoder: Encoder, path: TokenPath): TokenEffects {
  const dropped = path.steps.reduce((sum, step) => sum + droppedBy(encoder, step), 0)
  const reordered = path.steps.some(({ node }) => /^Gather(ND)?$/.test(node.opType))
  return { dropped, patchesPerToken: patchesPerToken(encoder, path), reordered }
}

/** The axis a Slice works on when it is one axis only. */
export function sliceAxis(encoder: Encoder, node: OnnxNode): number | undefined {
  const axes = encoder.shapes.integers(node.inputs[3] ?? '')
  return axes?.length === 1 ? (axes[0] ?? undefined) : undefined
}

function droppedBy(encoder: Encoder, step: TokenStep): number {
  if (step.node.opType !== 'Slice') return 0
  const rank = encoder.shapes.of(step.input)?.length ?? 3
  const axis = sliceAxis(encoder, step.node)
  const start = encoder.shapes.integers(step.node.inputs[1] ?? '')?.[0]
  return axis !== undefined && axisOf(axis, rank) === rank - 2 ? Math.max(start ?? 0, 0) : 0
}

/** Merging turns several tokens into one that is as many times wider, until a linear layer maps it to a new width. */
function patchesPerToken(encoder: Encoder, path: TokenPath): number | null {
  let width = encoder.shapes.of(path.start)?.at(-1) ?? null
  let merged: number | null = 1
  for (const { kind, node, input, output } of path.steps) {
    if (node.opType === 'AveragePool') merged = times(merged, kernelArea(encoder, node))
    if (kind !== 'linear') continue
    merged = times(merged, ratio(encoder.shapes.of(input)?.at(-1) ?? null, width))
    width = encoder.shapes.of(output)?.at(-1) ?? null
  }
  const last = encoder.shapes.of(encoder.features.name)?.at(-1) ?? null
  return times(merged, ratio(last, width))
}

function kernelArea(encoder: Encoder, node: OnnxNode): number | null {
  const kernel = encoder.shapes.kernel(node)
  return kernel ? kernel.reduce((area, size) => area * size, 1) : null
}

function ratio(a: number | null, b: number | null): number | null {
  return a !== null && b !== null && b > 0 && a % b === 0 ? a / b : null
}

function times(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a * b
}

/** True when a structural node leaves the channels alone: last, whole. */
export function keepsChannelsLast(encoder: Encoder, node: OnnxNode): boolean {
  const { opType } = node
  const rank = encoder.shapes.of(node.inputs[0] ?? '')?.length
  if (rank === undefined) return false
  if (opType === 'Transpose') return encoder.shapes.permutation(node)?.at(-1) === rank - 1
  if (opType === 'Gather') return axisOf(intAttribute(encoder.graph.model, node, 'axis', 0), rank) < rank - 1
  if (opType === 'GatherND') return (encoder.shapes.of(node.inputs[1] ?? '')?.at(-1) ?? rank) < rank
  const axis = opType === 'Slice' ? sliceAxis(encoder, node) : undefined
  return axis !== undefined && axisOf(axis, rank) < rank - 1
}
