import { ModelError } from '../errors.js'
import type { PatchGrid, TokenSelection } from '../pruning/index.js'

/** Where an image's placeholders begin: row of the batch, and index among that row's placeholders. */
export interface ImagePlace {
  readonly row: number
  readonly offset: number
}

/**
 * Rows of the prompt take images in order, each row as many as its placeholders hold. In a later turn the library slices the
 * prompt to what is new, while `pixel_values` may still hold the images of earlier turns: those are skipped.
 *
 * @param positions Per row of the prompt the positions of its placeholders.
 * @returns How many leading images to skip, and the place of each of the others.
 * @throws ModelError when placeholders and visual tokens do not match.
 */
export function placeImages(
  positions: readonly (readonly number[])[],
  grids: readonly PatchGrid[],
): { skip: number; places: ImagePlace[] } {
  const sizes = grids.map(({ rows, columns }) => rows * columns)
  const wanted = positions.reduce((sum, { length }) => sum + length, 0)
  let skip = sizes.length
  for (let held = 0; held < wanted && skip > 0;) held += sizes[--skip] as number

  const places: ImagePlace[] = []
  let image = skip
  positions.forEach(({ length }, row) => {
    let offset = 0
    for (; offset < length && image < sizes.length; offset += sizes[image++] as number) places.push({ row, offset })
    if (offset !== length) throw mismatch(positions, sizes)
  })
  return { skip, places }
}

/** Per row of the prompt the placeholders that stay, as indices into that row's placeholders. */
export function keptPlaceholders(
  numRows: number,
  places: readonly ImagePlace[],
  selections: readonly TokenSelection[],
): number[][] {
  const kept: number[][] = Array.from({ length: numRows }, () => [])
  places.forEach(({ row, offset }, i) => {
    for (const token of (selections[i] as TokenSelection).kept) (kept[row] as number[]).push(offset + token)
  })
  return kept
}

function mismatch(positions: readonly (readonly number[])[], sizes: readonly number[]): ModelError {
  const placeholders = positions.map(({ length }) => length).join(' + ')
  return new ModelError(
    `the prompt has ${placeholders} image placeholders, but its images make ${sizes.join(' + ')} visual tokens: ` +
      "build the prompt with the model's processor",
  )
}
