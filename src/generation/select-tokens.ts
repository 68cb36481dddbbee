import { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import {
  complexityOf,
  resolveAuto,
  resolveBudget,
  splitByWeight,
  splitEvenly,
  type Budget,
  type BudgetSplit,
  type TokenSelection,
} from '../pruning/index.js'
import { SEPARATOR, clsOf, type ImageLayout } from '../models/index.js'
import type { EncodedImage } from './encode-images.js'
import type { PruningPlan } from './options.js'
import { keptTokens } from './place-images.js'

/** An encoded image with everything that a pruner may ask for. */
export type PrunableImage = EncodedImage & { readonly relevance?: Float32Array }

/**
 * One selection a grid. An image's budget is divided among its tiles or frames, each keeps at least one token (SPEC 4).
 *
 * @param tilesPerImage How many of the grids belong to each image; without it a grid is an image.
 */
export function selectTokens(
  images: readonly PrunableImage[],
  { pruner, budget, split }: PruningPlan,
  tilesPerImage: readonly number[] = images.map(() => 1),
): TokenSelection[] {
  const missing = pruner.needs.find((need) => images.some((image) => !(need in image)))
  if (missing) {
    throw new ModelError(
      `method ${pruner.name} needs ${missing}, which this vision encoder does not return: ` +
        'load the model with loadPruned(), or tap a loaded one with tapModel(model, modelId)',
    )
  }
  const budgets = pruner.name === 'none' ? images.map(() => budget) : gridBudgets(images, budget, split, tilesPerImage)
  return images.map((image, i) => pruner.select(image, budgets[i] as Budget))
}

/** The budget of each grid, see {@link BudgetSplit}. */
function gridBudgets(
  images: readonly PrunableImage[],
  budget: Budget,
  split: BudgetSplit,
  tilesPerImage: readonly number[],
): Budget[] {
  if (split !== 'shared' && tilesPerImage.every((tiles) => tiles === 1)) return images.map(() => budget)
  let start = 0
  const groups = tilesPerImage.map((tiles) => images.slice(start, (start += tiles)))
  const total = (group: readonly PrunableImage[]) => totalOf(group, budget)
  const counts =
    split === 'shared'
      ? splitByComplexity(
          images,
          groups.reduce((sum, group) => sum + total(group), 0),
        )
      : groups.flatMap((group) => {
          return split === 'even' ? splitEvenly(total(group), group.length) : splitByComplexity(group, total(group))
        })
  return counts.map((count) => ({ kind: 'count', count }))
}

/** K of an image that is these grids. */
function totalOf(grids: readonly PrunableImage[], budget: Budget): number {
  const numTokens = sizesOf(grids).reduce((sum, size) => sum + size, 0)
  if (budget.kind !== 'auto') return resolveBudget(budget, numTokens)
  return resolveAuto(
    budget,
    grids.map(({ deepScores }) => complexityOf(deepScores, budget.share)),
    numTokens,
  )
}

function splitByComplexity(grids: readonly PrunableImage[], total: number): number[] {
  const complexities = grids.map(({ deepScores }) => {
    if (deepScores) return complexityOf(deepScores)
    throw new ModelError('a split by complexity needs deepScores, which this vision encoder does not return: tap it')
  })
  return splitByWeight(total, complexities, sizesOf(grids))
}

function sizesOf(grids: readonly PrunableImage[]): number[] {
  return grids.map(({ grid }) => grid.rows * grid.columns)
}

/**
 * float32 `[K1 + K2 + ..., D]`: rows of all kept tokens in the order of the prompt's placeholders, separators among them.
 *
 * @param images Per image its tiles; `selections` alike.
 * @param separator float32 `[D]`, asked for only where a layout has separators.
 */
export function gatherKept(
  images: readonly (readonly EncodedImage[])[],
  layouts: readonly ImageLayout[],
  selections: readonly (readonly TokenSelection[])[],
  hiddenSize: number,
  separator: () => Float32Array,
): Tensor {
  const rows = layouts.flatMap((layout, i) => {
    const tiles = images[i] as EncodedImage[]
    const chosen = selections[i] as TokenSelection[]
    // A method may put its tokens in an order of its own: with one tile they follow it.
    if (layout.tiles === 1 && layout.tokens.every((token) => token >= 0))
      return keptRows(tiles[0] as EncodedImage, chosen[0] as TokenSelection, hiddenSize)
    const ofTile = tiles.map((tile, t) => keptRows(tile, chosen[t] as TokenSelection, hiddenSize))
    const places = keptTokens(
      tiles.map(({ grid }) => grid),
      chosen,
    )
    return [...layout.tokens].flatMap((token) => {
      const found = places.get(token)
      if (token === SEPARATOR) return [separator()]
      // clsOf undoes itself.
      if (token < 0) return [(tiles[clsOf(token)] as EncodedImage).cls as Float32Array]
      return found ? [(ofTile[found.tile] as Float32Array[])[found.place] as Float32Array] : []
    })
  })
  const gathered = new Float32Array(rows.length * hiddenSize)
  rows.forEach((row, i) => gathered.set(row, i * hiddenSize))
  return new Tensor('float32', gathered, [rows.length, hiddenSize])
}

/** Row of each kept token of a tile: its feature, or what a merging method made of it. */
function keptRows(
  { features }: EncodedImage,
  { kept, rows: merged }: TokenSelection,
  hiddenSize: number,
): Float32Array[] {
  const row = (values: Float32Array, i: number) => values.subarray(i * hiddenSize, (i + 1) * hiddenSize)
  return Array.from(kept, (token, i) => (merged ? row(merged, i) : row(features, token)))
}
