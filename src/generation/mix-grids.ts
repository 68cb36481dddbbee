import type { MixedGrid } from '../models/index.js'
import type { EncodedImage } from './encode-images.js'

/** Everything an encoder returns of a tile that has one row a token. */
const ROWS = ['features', 'objectScores', 'deepScores', 'clsScores', 'keys', 'patchEmbeds'] as const

/**
 * Visual tokens that a model mixes of its encoder's (features scaled down): features and scores are mixed alike, so that a
 * token is as important as what it is made of.
 *
 * @param mixed One entry an image or tile; undefined where tokens are the encoder's own.
 */
export function mixGrids(
  images: readonly EncodedImage[],
  mixed: readonly (MixedGrid | undefined)[] | undefined,
): readonly EncodedImage[] {
  if (!mixed) return images
  return images.map((image, i) => {
    const mix = mixed[i]
    if (!mix) return image
    const rows = ROWS.filter((name) => image[name]).map((name) => [name, mixRows(images, mix, name)])
    return { ...image, grid: mix.grid, ...Object.fromEntries(rows) } as EncodedImage
  })
}

/** Row-major `[N, width]`. */
function mixRows(images: readonly EncodedImage[], { tokens }: MixedGrid, name: (typeof ROWS)[number]): Float32Array {
  const { grid, [name]: sample } = images[0] as EncodedImage
  const width = (sample as Float32Array).length / (grid.rows * grid.columns)
  const mixed = new Float32Array(tokens.length * width)
  tokens.forEach((sources, token) => {
    for (const { tile, token: from, weight } of sources) {
      const rows = (images[tile] as EncodedImage)[name] as Float32Array
      for (let d = 0; d < width; d++) {
        mixed[token * width + d] = (mixed[token * width + d] as number) + weight * (rows[from * width + d] as number)
      }
    }
  })
  return mixed
}
