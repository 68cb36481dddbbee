import path from 'node:path'
import { ranksOf, tokenMap, type EncodedLayers, type StudyNumbers } from '../analysis/index.js'
import { createPruner, overlaySvg } from '../index.js'
import { imageDataUri } from '../node.js'
import { rankMapFigure, tokenMapFigure, type ReportFigure } from '../plots/index.js'
import type { StudyRun } from './study-run.js'

/** Visual tokens in the picture of the kept ones. */
const KEEP = 1 / 3

/** Longer side in pixels of pictures inside the report. */
const PICTURE_SIDE = 256

/** Rank maps, tokens' t-SNE and kept tokens of the first images, which are encoded once more for it. */
export async function pictureFigures(run: StudyRun, numbers: StudyNumbers, count: number): Promise<ReportFigure[]> {
  const figures: ReportFigure[] = []
  for (const image of run.images.slice(0, count)) {
    const picture = await image.load()
    const [encoded] = await run.encoder.encode([picture])
    const href = await imageDataUri(picture, PICTURE_SIDE)
    const { width, height } = picture
    figures.push(
      ...imageFigures(
        path.parse(image.name).name,
        { href, width, height },
        encoded as EncodedLayers,
        numbers,
        run.seed,
      ),
    )
  }
  return figures
}

interface Picture {
  readonly href: string
  readonly width: number
  readonly height: number
}

function imageFigures(
  name: string,
  picture: Picture,
  encoded: EncodedLayers,
  numbers: StudyNumbers,
  seed: number,
): ReportFigure[] {
  const shown = shownLayers(numbers)
  const ranks = shown.map((layer) => ({ layer, ranks: ranksOf(encoded.received[layer - 1] as Float32Array) }))
  const map = tokenMap(encoded, seed)
  const panels = shown.map((layer) => ({ layer, isTop: map.isTop[layer - 1] as Uint8Array }))
  return [
    {
      id: `ranks-${name}`,
      title: `${name}: who receives attention`,
      caption: 'Rank of each token by the attention it receives, from dark (least) to yellow (most).',
      svg: rankMapFigure({ ...picture, region: encoded.region, grid: encoded.grid, layers: ranks }),
      wide: true,
    },
    {
      id: `tokens-${name}`,
      title: `${name}: tokens`,
      caption: "t-SNE of the image's tokens (perplexity 30), the 50 % most attended of each layer in colour.",
      svg: tokenMapFigure(map.points, panels),
      wide: true,
    },
    {
      id: `kept-${name}`,
      title: `${name}: kept tokens`,
      caption: `HiPrune with a third of the tokens: anchors from layer ${numbers.layers.objectLayer}, registers from layer ${numbers.depth}.`,
      svg: keptPicture(name, picture, encoded, numbers),
      wide: true,
    },
  ]
}

function keptPicture(
  name: string,
  picture: Picture,
  { grid, region, received }: EncodedLayers,
  { layers, depth }: StudyNumbers,
): string {
  const scores = {
    objectScores: received[layers.objectLayer - 1] as Float32Array,
    deepScores: received[depth - 1] as Float32Array,
  }
  const selection = createPruner('hiprune').select({ grid, ...scores }, KEEP)
  return overlaySvg(
    [{ ...picture, seen: region, grid, selection }],
    `${name} · hiprune: ${selection.kept.length} of ${grid.rows * grid.columns} visual tokens`,
  )
}

/** Layers 1, L/4, L/2, 3 L/4 and L, and the object layer. */
function shownLayers({ depth, layers, middleLayer }: StudyNumbers): number[] {
  const wanted = [1, Math.round(depth / 4), middleLayer, Math.round((3 * depth) / 4), depth, layers.objectLayer]
  return [...new Set(wanted.filter((layer) => layer >= 1))].sort((a, b) => a - b)
}
