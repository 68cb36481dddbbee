import { ModelError } from '../errors.js'

/**
 * Named limits; a file beyond them is refused rather than worked on for minutes. Those on numbers of things grow with the file,
 * so that what is kept of it in memory stays a fraction of its size: a node takes some 500 bytes here and at least four in a file.
 */
export const limits = {
  /** The largest published encoders have some 20,000 nodes, in some 200 bytes each. */
  nodes: (fileSize: number): number => 30_000 + Math.floor(fileSize / 512),
  /** Weights, inputs, outputs and annotations together. */
  entries: (fileSize: number): number => 60_000 + Math.floor(fileSize / 256),
  /** Inputs, outputs and attributes of all nodes and dimensions of all values, together. */
  parts: (fileSize: number): number => 400_000 + Math.floor(fileSize / 16),
  /** Dimensions of a tensor; ONNX Runtime stops far earlier. */
  rank: 64,
} as const

/** Counts what is kept of a file and refuses more than its size warrants. */
export class Allowance {
  private readonly left: { nodes: number; entries: number; parts: number }

  constructor(fileSize: number) {
    this.left = { nodes: limits.nodes(fileSize), entries: limits.entries(fileSize), parts: limits.parts(fileSize) }
  }

  take(kind: 'nodes' | 'entries' | 'parts'): void {
    if (this.left[kind]-- <= 0)
      throw new ModelError(`not a usable ONNX model: too many ${kind} for a file of this size`)
  }
}
