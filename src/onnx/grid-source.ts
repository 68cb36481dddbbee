import { ModelError } from '../errors.js'
import type { Encoder } from './encoder.js'
import { dataTypes, type GraphPatch } from './graph-patch.js'
import type { EncoderInfo } from './inspect.js'
import { slice } from './verbs.js'

/** The grid of visual tokens as values of the graph. */
export interface GridSource {
  /** int64 [1] each. */
  readonly rows: string
  readonly columns: string
  /** rows x columns, int64 [1]. */
  readonly count: string
  /** 0, 1, ..., count - 1, int64 [count]. */
  readonly tokens: string
  /** The grid, where the file fixes it. */
  readonly fixed: { readonly rows: number; readonly columns: number } | undefined
}

/** The grid from the file, from the `image_grid_thw` that is fed anyway, or from a new input `grid` [rows, columns]. */
export function gridSource(encoder: Encoder, patch: GraphPatch, info: EncoderInfo): GridSource {
  const fixed = info.grid
  const [rows, columns] = fixed
    ? [patch.integers([fixed.rows]), patch.integers([fixed.columns])]
    : dynamicGrid(encoder, patch, info.patchesPerToken)
  const count = patch.node('Mul', [rows, columns])
  const limit = patch.node('Reshape', [count, patch.integers([])])
  const tokens = patch.node('Range', [patch.integers(0), limit, patch.integers(1)])
  return { rows, columns, count, tokens, fixed }
}

/** `image_grid_thw` counts patches; tokens are `patchesPerToken` of them. The first image speaks for all. */
function dynamicGrid(encoder: Encoder, patch: GraphPatch, patchesPerToken: number): [string, string] {
  const patches = encoder.graph.inputs.find((input) => /^(image_)?grid_thw$/.test(input.name))
  if (!patches) {
    const grid = patch.input('grid', dataTypes.int64, [2])
    return [slice(patch, grid, 0, 0, 1), slice(patch, grid, 0, 1, 2)]
  }
  const side = Math.sqrt(patchesPerToken)
  if (!Number.isInteger(side))
    throw new ModelError(`${patchesPerToken} patches a token are no square: the grid cannot be told`)
  const first = patch.node('Reshape', [slice(patch, patches.name, 0, 0, 1), patch.integers([-1])])
  const length = (at: number): string => patch.node('Div', [slice(patch, first, 0, at, at + 1), patch.integers([side])])
  return [length(1), length(2)]
}

/** [batch, tokens] or packed [images * tokens] -> [images, tokens]; fails at run time when images differ in size. */
export function perImage(patch: GraphPatch, grid: GridSource, scores: string): string {
  return patch.node('Reshape', [scores, patch.node('Concat', [patch.integers([-1]), grid.count], { axis: 0 })])
}
