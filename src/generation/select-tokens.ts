import { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import { resolveBudget, type Budget, type TokenSelection } from '../pruning/index.js'
import type { EncodedImage } from './encode-images.js'
import type { PruningPlan } from './options.js'

/** An encoded image with everything that a pruner may ask for. */
export type PrunableImage = EncodedImage & { readonly relevance?: Float32Array }

/**
 * One selection a grid. An image's budget is divided evenly among its tiles or frames, each keeps at least one token (SPEC 4).
 *
 * @param tilesPerImage How many of the grids belong to each image; without it a grid is an image.
 */
export function selectTokens(
  images: readonly PrunableImage[],
  { pruner, budget }: PruningPlan,
  tilesPerImage?: readonly number[],
): TokenSelection[] {
  const missing = pruner.needs.find((need) => images.some((image) => !(need in image)))
  if (missing) {
    throw new ModelError(
      `method ${pruner.name} needs ${missing}, which this vision encoder does not return: ` +
        'load the model with loadPruned(), or tap a loaded one with tapModel(model, modelId)',
    )
  }
  const budgets = tilesPerImage ? tileBudgets(images, budget, tilesPerImage) : images.map(() => budget)
  return images.map((image, i) => pruner.select(image, budgets[i] as Budget))
}

/** floor(K / tiles) for each tile, K being the image's budget; 'auto' looks at each tile by itself. */
function tileBudgets(images: readonly PrunableImage[], budget: Budget, tilesPerImage: readonly number[]): Budget[] {
  if (budget.kind === 'auto') return images.map(() => budget)
  let start = 0
  return tilesPerImage.flatMap((tiles) => {
    const tokens = images.slice(start, start + tiles).reduce((sum, { grid }) => sum + grid.rows * grid.columns, 0)
    start += tiles
    const count = Math.max(1, Math.floor(resolveBudget(budget, tokens) / tiles))
    return Array.from({ length: tiles }, () => ({ kind: 'count' as const, count }))
  })
}

/** float32 `[K1 + K2 + ..., D]`: rows of all kept tokens, image after image. */
export function gatherKept(
  images: readonly EncodedImage[],
  selections: readonly TokenSelection[],
  hiddenSize: number,
): Tensor {
  const total = selections.reduce((sum, { kept }) => sum + kept.length, 0)
  const rows = new Float32Array(total * hiddenSize)
  let row = 0
  selections.forEach(({ kept, rows: merged }, i) => {
    if (merged) {
      rows.set(merged, row * hiddenSize)
      row += kept.length
      return
    }
    const { features } = images[i] as EncodedImage
    for (const token of kept) {
      rows.set(features.subarray(token * hiddenSize, (token + 1) * hiddenSize), row++ * hiddenSize)
    }
  })
  return new Tensor('float32', rows, [total, hiddenSize])
}
