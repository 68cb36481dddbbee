import { SEPARATOR, type ImageLayout, type MixedGrid } from '../adapter.js'
import type { Size } from '../llava-next/anyres.js'
import { layoutOf, padding } from '../llava-next/layout.js'

/** How the tiles of one picture stand in the prompt, and of what encoder tokens theirs are mixed. */
export interface Plane {
  readonly layout: ImageLayout
  /** One entry a tile; empty where every visual token is one of the encoder's. */
  readonly mixed: readonly (MixedGrid | undefined)[]
}

/**
 * LLaVA-OneVision's anyres_max_9: behind the base image the tiles as one plane without its padding, a newline behind every
 * row; a plane of more than 1.1^2 x `maxTiles` tiles' tokens is scaled down to theirs, bilinear. Each token of a scaled plane
 * belongs to the tile that its place lies in, so that budgets and selections stay those of tiles.
 *
 * @param image Height and width of the picture before scaling.
 * @param tiles Rows and columns of tiles behind the base image.
 * @param side Visual tokens of a tile's side.
 */
export function planeOf(image: Size, tiles: Size, side: number, maxTiles: number): Plane {
  const [rows, columns] = [tiles[0] * side, tiles[1] * side]
  const [top, left] = padding(image, [rows, columns])
  const inner: Size = [rows - 2 * top, columns - 2 * left]
  const ratio = Math.sqrt((inner[0] * inner[1]) / (maxTiles * side * side))
  if (ratio <= 1.1) return { layout: layoutOf(image, tiles, side, 'spatial_unpad'), mixed: [] }

  const outer: Size = [Math.floor(inner[0] / ratio), Math.floor(inner[1] / ratio)]
  const [ys, xs] = [0, 1].map((axis) => interpolation(inner[axis as 0 | 1], outer[axis as 0 | 1]))
  const [tileRows, tileColumns] = [0, 1].map((axis) => stretches(outer[axis as 0 | 1], tiles[axis as 0 | 1]))
  const mixed: (MixedGrid | undefined)[] = [undefined]
  const places = new Int32Array(outer[0] * outer[1])
  let next = side * side
  for (const [fromRow, toRow] of tileRows as Stretch[]) {
    for (const [fromColumn, toColumn] of tileColumns as Stretch[]) {
      const tokens = []
      for (let row = fromRow; row < toRow; row++) {
        for (let column = fromColumn; column < toColumn; column++) {
          tokens.push(sourcesAt((ys as Blend[])[row] as Blend, (xs as Blend[])[column] as Blend))
          places[row * outer[1] + column] = next++
        }
      }
      mixed.push({ grid: { rows: toRow - fromRow, columns: toColumn - fromColumn }, tokens })
    }
  }
  const base = Array.from({ length: side * side }, (_, i) => i)
  const lines = Array.from({ length: outer[0] }, (_, row) => [
    ...places.subarray(row * outer[1], (row + 1) * outer[1]),
    SEPARATOR,
  ])
  return { layout: { tiles: mixed.length, tokens: Int32Array.from([...base, ...lines.flat()]) }, mixed }

  function sourcesAt(y: Blend, x: Blend): MixedGrid['tokens'][number] {
    return y.flatMap(([row, tall]) =>
      x.map(([column, wide]) => {
        const [tileRow, tileColumn] = [Math.floor((row + top) / side), Math.floor((column + left) / side)]
        const token = ((row + top) % side) * side + ((column + left) % side)
        return { tile: 1 + tileRow * tiles[1] + tileColumn, token, weight: tall * wide }
      }),
    )
  }
}

/** Two places and their weights. */
type Blend = readonly (readonly [place: number, weight: number])[]
/** From, and up to but without. */
type Stretch = readonly [number, number]

/** Bilinear along one axis, pixel centres at halves, no smoothing (PyTorch's interpolate, align_corners=False). */
function interpolation(from: number, to: number): Blend[] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.max(0, ((i + 0.5) * from) / to - 0.5)
    const low = Math.floor(place)
    return [
      [low, 1 - (place - low)],
      [Math.min(low + 1, from - 1), place - low],
    ]
  })
}

/** Places i with floor(i * parts / length) = 0, 1, ... */
function stretches(length: number, parts: number): Stretch[] {
  return Array.from({ length: parts }, (_, part) => [
    Math.ceil((part * length) / parts),
    Math.ceil(((part + 1) * length) / parts),
  ])
}
