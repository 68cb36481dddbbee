import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Tensor } from '@huggingface/transformers'
import { oracleRoot } from './golden.js'

/** One family's tiny model, and how its processor's outputs look for made-up pictures: what the conformance suite runs on. */
export interface FamilyFixture {
  readonly name: string
  /** The model's folder. */
  folder(): string
  /** The processor's outputs for prompts: per row of the batch the seeds of its pictures. */
  pixels(rows: readonly (readonly number[])[]): object
  /** The ids that stand for a picture in the prompt, marks included. */
  imageIds(seed: number): number[]
  /** Id of the placeholder of one visual token. */
  readonly imageToken: number
  readonly padToken: number
  /** Grids (tiles) that a picture becomes. Default 1. */
  tiles?(seed: number): number
  /** Tokens of one prompt see those behind them, so a later turn on a cache is not the same text from scratch. */
  readonly bidirectional?: boolean
  /** Why there is no unpruned model of the library to compare with. */
  readonly noPlainModel?: string
}

/** PyTorch's answers about picture 0, written beside a fixture by training/fixtures. */
export interface FamilyGolden {
  readonly input_ids: number[]
  /** Row-major, all visual tokens. */
  readonly image_features: number[]
  /** Attention received, per layer all visual tokens. */
  readonly scores: number[][]
  /** Unpruned first, then with the best K of the last layer's scores. */
  readonly runs: {
    /** Tokens kept of each grid. */
    readonly keep: number | null
    readonly kept: number[][] | null
    readonly last_logits: number[]
    readonly greedy: number[]
    /** A later turn without a picture. */
    readonly second: { readonly ids: number[]; readonly greedy: number[] }
  }[]
}

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))
const oracle = (name: string) => () => `${oracleRoot}models/${name}`
const own = (name: string) => () => `${fixtures}${name}`

/** The golden runs of a fixture that training/fixtures made whole. */
export function familyGolden(folder: string): FamilyGolden | undefined {
  const file = path.join(folder, 'golden.json')
  const golden = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Partial<FamilyGolden>) : {}
  return golden.runs ? (golden as FamilyGolden) : undefined
}

/** A picture that needs no file, the same in training/fixtures/tiny_vlm.py. */
export function pattern(seed: number, size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => ((i * (37 + 14 * seed) + (i >> 5) * 11) % 256) / 127.5 - 1)
}

function float32(parts: readonly Float32Array[], dims: number[]): Tensor {
  return new Tensor('float32', parts.flatMap((part) => [...part]) as never, dims)
}

function int64(values: readonly number[], dims: number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
}

const times = (id: number, count: number) => Array<number>(count).fill(id)

/** One picture, one entry of `pixel_values`. */
function square(
  side: number,
  tokens: number,
  ids: { imageToken: number; padToken: number; marks?: [number[], number[]] },
) {
  const [before, after] = ids.marks ?? [[], []]
  return {
    ...ids,
    pixels: (rows: readonly (readonly number[])[]) => {
      const pictures = rows.flat().map((seed) => pattern(seed, 3 * side * side))
      return { pixel_values: float32(pictures, [pictures.length, 3, side, side]) }
    },
    imageIds: () => [...before, ...times(ids.imageToken, tokens), ...after],
  }
}

/** Pictures of any size, packed: even seeds are wide, odd ones tall. */
function packed(width: number, ids: { imageToken: number; padToken: number; start: number; end: number }) {
  const grid = (seed: number): [number, number, number] => (seed % 2 === 0 ? [1, 6, 8] : [1, 10, 4])
  const patches = (seed: number) => grid(seed).reduce((product, side) => product * side)
  return {
    ...ids,
    pixels: (rows: readonly (readonly number[])[]) => {
      const seeds = rows.flat()
      const count = seeds.reduce((sum, seed) => sum + patches(seed), 0)
      const parts = seeds.map((seed) => pattern(seed, patches(seed) * width))
      return {
        pixel_values: float32(parts, [count, width]),
        image_grid_thw: int64(seeds.flatMap(grid), [seeds.length, 3]),
      }
    },
    imageIds: (seed: number) => [ids.start, ...times(ids.imageToken, patches(seed) / 4), ids.end],
  }
}

const llavaNextSize = (seed: number) => (seed % 2 === 0 ? [112, 224] : [224, 112])
const videoFrames = (seed: number) => (seed % 2 === 0 ? 3 : 2)
const smolTiles = (seed: number) => (seed % 2 === 0 ? 3 : 1)

/** LFM2-VL: even seeds are two tiles and a thumbnail, odd ones one tile; rows and columns of patches. */
const lfm2Shapes = (seed: number): [number, number][] =>
  seed % 2 === 0
    ? [
        [8, 8],
        [8, 8],
        [4, 8],
      ]
    : [[8, 6]]
const LFM2_PATCHES = 64

/** Every family with a fixture. */
export const families: readonly FamilyFixture[] = [
  { name: 'llava', folder: oracle('tiny-llava'), ...square(112, 64, { imageToken: 4, padToken: 3 }) },
  {
    name: 'llava_onevision',
    folder: oracle('tiny-llava-onevision'),
    ...square(134, 81, { imageToken: 4, padToken: 3 }),
  },
  {
    name: 'llava_next',
    folder: oracle('tiny-llava-next'),
    imageToken: 4,
    padToken: 3,
    noPlainModel: 'Transformers.js has no LLaVA-NeXT; llava-next.test.ts compares keep-all with PyTorch',
    tiles: () => 3,
    pixels: (rows) => ({
      pixel_values: float32(
        rows.flat().map((seed) => pattern(seed, 3 * 3 * 112 * 112)),
        [3 * rows.flat().length, 3, 112, 112],
      ),
      image_sizes: int64(rows.flat().flatMap(llavaNextSize), [rows.flat().length, 2]),
    }),
    // 'spatial_unpad': the base image, then 8 rows of 16 tokens or 16 of 8, each with a newline.
    imageIds: (seed) => times(4, 64 + 128 + (seed % 2 === 0 ? 8 : 16)),
  },
  {
    name: 'video_llava',
    folder: own('tiny-video-llava'),
    imageToken: 5,
    padToken: 3,
    noPlainModel: 'Transformers.js has no Video-LLaVA; video-llava.test.ts compares keep-all with PyTorch',
    tiles: videoFrames,
    pixels: (rows) => {
      const frames = rows
        .flat()
        .flatMap((seed) => Array.from({ length: videoFrames(seed) }, (_, frame) => seed + frame))
      const pictures = frames.map((seed) => pattern(seed, 3 * 42 * 42))
      return {
        pixel_values: float32(pictures, [frames.length, 3, 42, 42]),
        num_frames: int64(rows.flat().map(videoFrames), [rows.flat().length]),
      }
    },
    // 36 tokens and CLS a frame.
    imageIds: (seed) => times(5, 37 * videoFrames(seed)),
  },
  {
    name: 'qwen2_5_vl',
    folder: oracle('tiny-qwen2.5-vl'),
    ...packed(96, { imageToken: 11, padToken: 6, start: 9, end: 10 }),
  },
  {
    name: 'smolvlm',
    folder: own('tiny-smolvlm'),
    imageToken: 4,
    padToken: 3,
    tiles: smolTiles,
    pixels: (rows) => {
      const tiles = rows.map((seeds) =>
        seeds.flatMap((seed) => Array.from({ length: smolTiles(seed) }, (_, i) => seed + i)),
      )
      const longest = Math.max(...tiles.map(({ length }) => length))
      const size = 3 * 64 * 64
      const pixels = new Float32Array(rows.length * longest * size)
      tiles.forEach((seeds, row) => {
        seeds.forEach((seed, i) => pixels.set(pattern(seed, size), (row * longest + i) * size))
      })
      return { pixel_values: new Tensor('float32', pixels, [rows.length, longest, 3, 64, 64]) }
    },
    imageIds: (seed) => [
      ...Array.from({ length: smolTiles(seed) }, (_, tile) => [5, 40 + tile, ...times(4, 16)]).flat(),
      5,
    ],
  },
  {
    name: 'paligemma',
    folder: own('tiny-paligemma'),
    bidirectional: true,
    ...square(48, 36, { imageToken: 4, padToken: 0 }),
  },
  {
    name: 'gemma3',
    folder: own('tiny-gemma3'),
    ...square(64, 16, { imageToken: 4, padToken: 0, marks: [[5], [6]] }),
  },
  {
    name: 'qwen2_vl',
    folder: own('tiny-qwen2-vl'),
    ...packed(96, { imageToken: 5, padToken: 0, start: 3, end: 4 }),
  },
  {
    name: 'qwen3_vl',
    folder: own('tiny-qwen3-vl'),
    ...packed(96, { imageToken: 5, padToken: 0, start: 3, end: 4 }),
  },
  {
    name: 'lfm2_vl',
    folder: own('tiny-lfm2-vl'),
    imageToken: 4,
    padToken: 0,
    tiles: (seed) => lfm2Shapes(seed).length,
    pixels: (rows) => {
      const tiles = rows.flat().flatMap((seed) => lfm2Shapes(seed).map((shape, tile) => ({ shape, seed: seed + tile })))
      const padded = tiles.map(({ shape: [height, width], seed }) => {
        const values = new Float32Array(LFM2_PATCHES * 48)
        values.set(pattern(seed, height * width * 48))
        return values
      })
      const mask = tiles.flatMap(({ shape: [height, width] }) =>
        Array.from({ length: LFM2_PATCHES }, (_, i) => (i < height * width ? 1 : 0)),
      )
      return {
        pixel_values: float32(padded, [tiles.length, LFM2_PATCHES, 48]),
        pixel_attention_mask: int64(mask, [tiles.length, LFM2_PATCHES]),
        spatial_shapes: int64(
          tiles.flatMap(({ shape }) => shape),
          [tiles.length, 2],
        ),
      }
    },
    imageIds: (seed) => {
      const tiles = lfm2Shapes(seed).map(([height, width]) => times(4, (height * width) / 4))
      // Only tiles of a picture that was cut have marks; the last one is the thumbnail.
      const marks = [10, 11, 7]
      return [5, ...tiles.flatMap((ids, i) => (tiles.length > 1 ? [marks[i]!, ...ids] : ids)), 6]
    },
  },
  { name: 'llava_qwen2', folder: own('tiny-nanollava'), ...square(48, 36, { imageToken: 4, padToken: 0 }) },
]
