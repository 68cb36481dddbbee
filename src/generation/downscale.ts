import type { Processor, RawImage } from '@huggingface/transformers'
import type { ModelAdapter, ModelConfig, ModelInputs } from '../models/index.js'
import { parseBudget, resolveBudget, type BudgetInput, type PatchGrid } from '../pruning/index.js'

/**
 * The control that every honest table needs: nothing is selected, the image is made smaller, so that the encoder itself makes
 * about K tokens. Only for encoders of any resolution; where it is fixed, the method 'pool' averages features instead.
 *
 * @param cell Side of the pixels behind one visual token.
 */
export async function downscale(
  adapter: ModelAdapter,
  config: ModelConfig,
  processor: Processor,
  image: RawImage,
  keep: BudgetInput,
  cell: number,
): Promise<RawImage> {
  const inputs = (await adapter.preprocess(processor, [image])) as ModelInputs
  const [grid] = adapter.grids(config, inputs)
  const { rows, columns } = grid as PatchGrid
  const smaller = gridOf(resolveBudget(parseBudget(keep), rows * columns), rows / columns)
  // In a copy, because resize() may work in place.
  return await image.clone().resize(smaller.columns * cell, smaller.rows * cell)
}

/**
 * The grid of at most `tokens` cells that comes closest to them; of equal ones the one closest to the picture's shape.
 *
 * @param shape Height / width.
 */
export function gridOf(tokens: number, shape: number): PatchGrid {
  const ideal = Math.sqrt(tokens * shape)
  const candidates = [Math.floor(ideal), Math.ceil(ideal)].map((rows) => {
    const bounded = Math.min(tokens, Math.max(1, rows))
    return { rows: bounded, columns: Math.floor(tokens / bounded) }
  }) as [PatchGrid, PatchGrid]
  const [fewer, more] = candidates
  const distance = ({ rows, columns }: PatchGrid) => Math.abs(Math.log(rows / columns / shape))
  const gain = more.rows * more.columns - fewer.rows * fewer.columns
  return gain > 0 || (gain === 0 && distance(more) < distance(fewer)) ? more : fewer
}
