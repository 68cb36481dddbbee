import { ModelError } from '../errors.js'
import type { ImageLayout } from '../models/index.js'
import type { PatchGrid, TokenSelection } from '../pruning/index.js'

/** Where an image's placeholders begin: row of the batch, and index among that row's placeholders. */
export interface ImagePlace {
  readonly row: number
  readonly offset: number
}

/** The layout of a grid whose tokens simply stand in raster order. */
export function inOrder({ rows, columns }: PatchGrid): ImageLayout {
  return { tiles: 1, tokens: Int32Array.from({ length: rows * columns }, (_, i) => i) }
}

/**
 * Rows of the prompt take images in order, each row as many as its placeholders hold. In a later turn the library slices the
 * prompt to what is new, while `pixel_values` may still hold the images of earlier turns: those are skipped.
 *
 * @param positions Per row of the prompt the positions of its placeholders.
 * @param isLaterTurn Whether there is something in the KV cache: only then there are earlier images.
 * @returns How many leading images to skip, and the place of each of the others.
 * @throws ModelError when placeholders and visual tokens do not match, or when a batch has images of earlier turns: they
 *   stand between the new ones, and nothing says which are which.
 */
export function placeImages(
  positions: readonly (readonly number[])[],
  layouts: readonly ImageLayout[],
  isLaterTurn: boolean,
): { skip: number; places: ImagePlace[] } {
  const sizes = layouts.map(({ tokens }) => tokens.length)
  const wanted = positions.reduce((sum, { length }) => sum + length, 0)
  let skip = sizes.length
  for (let held = 0; held < wanted && skip > 0;) held += sizes[--skip] as number
  if (skip > 0 && !isLaterTurn) throw mismatch(positions, sizes)
  if (skip > 0 && positions.length > 1) {
    throw new ModelError(
      `a later turn with new images: got ${positions.length} conversations and the images of their earlier turns, allowed: ` +
        'one conversation at a time, or the new images only',
    )
  }

  const places: ImagePlace[] = []
  let image = skip
  positions.forEach(({ length }, row) => {
    let offset = 0
    for (; offset < length && image < sizes.length; offset += sizes[image++] as number) places.push({ row, offset })
    if (offset !== length) throw mismatch(positions, sizes)
  })
  return { skip, places }
}

/** The selections of each image's tiles. */
export function byImage<T>(layouts: readonly ImageLayout[], perTile: readonly T[]): T[][] {
  let start = 0
  return layouts.map(({ tiles }) => perTile.slice(start, (start += tiles)))
}

/**
 * Per row of the prompt the placeholders that stay, as indices into that row's placeholders.
 *
 * @param selections Per image those of its tiles.
 */
export function keptPlaceholders(
  numRows: number,
  places: readonly ImagePlace[],
  layouts: readonly ImageLayout[],
  grids: readonly (readonly PatchGrid[])[],
  selections: readonly (readonly TokenSelection[])[],
): number[][] {
  const kept: number[][] = Array.from({ length: numRows }, () => [])
  places.forEach(({ row, offset }, image) => {
    const stays = keptTokens(grids[image] as PatchGrid[], selections[image] as TokenSelection[])
    ;(layouts[image] as ImageLayout).tokens.forEach((token, i) => {
      // Separators and CLS tokens are below 0.
      if (token < 0 || stays.has(token)) (kept[row] as number[]).push(offset + i)
    })
  })
  return kept
}

/** Kept tokens of an image, counted over its tiles, each with its tile and its place among that tile's kept tokens. */
export function keptTokens(
  grids: readonly PatchGrid[],
  selections: readonly TokenSelection[],
): Map<number, { readonly tile: number; readonly place: number }> {
  const tokens = new Map<number, { tile: number; place: number }>()
  let start = 0
  selections.forEach(({ kept }, tile) => {
    kept.forEach((token, place) => tokens.set(start + token, { tile, place }))
    const { rows, columns } = grids[tile] as PatchGrid
    start += rows * columns
  })
  return tokens
}

function mismatch(positions: readonly (readonly number[])[], sizes: readonly number[]): ModelError {
  const placeholders = positions.map(({ length }) => length).join(' + ')
  return new ModelError(
    `the prompt has ${placeholders} image placeholders, but its images make ${sizes.join(' + ')} visual tokens: ` +
      "build the prompt with the model's processor",
  )
}
