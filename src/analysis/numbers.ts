import { chooseLayers, type LayerChoice } from './calibration.js'
import { phasesOf, type Phases } from './jump.js'
import {
  globalInTheDeep,
  middleLayer,
  objectsInTheMiddle,
  relativeIou,
  type Finding,
  type RelativeIou,
} from './pattern.js'
import { intervalOf } from './statistics.js'
import { SHARES, type StudyTotals } from './totals.js'
import { tsne, usablePerplexity } from './tsne.js'

/** A quantity by layer: entry i belongs to layer i + 1. */
export interface LayerCurve {
  readonly mean: readonly number[]
  /** Standard deviation over images. */
  readonly deviation: readonly number[]
  /** 95 % bootstrap interval of the mean. */
  readonly low95: readonly number[]
  readonly high95: readonly number[]
}

/** All numbers of a study (SPEC 6). Layers are 1-based. */
export interface StudyNumbers {
  readonly images: number
  readonly depth: number
  readonly middleLayer: number
  /** One curve a share of tokens: the top 5, 10 and 25 %. */
  readonly dispersion: readonly (LayerCurve & { readonly share: number })[]
  /** Mean distance of all pairs of tokens: the dispersion of a random choice. */
  readonly spread: number
  /** Null without masks. */
  readonly iou:
    | (LayerCurve & {
        readonly images: number
        /** Mean IoU over that of the middle layer. */
        readonly relative: readonly number[]
        readonly ends: RelativeIou
        readonly chance: number
        readonly best: number
        readonly objectShare: number
        readonly bestLayer: number
      })
    | null
  readonly layers: LayerChoice
  /** Null without a jump. */
  readonly phases: Phases | null
  /** Row-major `[L, 2]` t-SNE of the layers' rank vectors. */
  readonly layerMap: { readonly points: readonly number[]; readonly perplexity: number }
  /** Sum of cosine similarities with 10 neighbours, mean over visual tokens. */
  readonly neighbourSimilarity: number
  readonly findings: { readonly objectsInTheMiddle: Finding | null; readonly globalInTheDeep: Finding }
}

/** Turns what a study has seen into its numbers. @param totals Of at least one image. */
export function studyNumbers(totals: StudyTotals): StudyNumbers {
  const { depth, seed } = totals
  const mean = totals.spread.mean()
  const replicates = totals.spread.replicateMeans()
  const calibrating = Array.from(mean.subarray(0, depth))
  const layers = chooseLayers(
    calibrating,
    replicates.map((row) => row.subarray(0, depth)),
  )
  const iou = iouNumbers(totals)
  return {
    images: totals.images,
    depth,
    middleLayer: middleLayer(depth),
    dispersion: SHARES.map((share, s) => ({ share, ...curveOf(totals.spread, s * depth, depth) })),
    spread: mean[SHARES.length * depth] as number,
    iou: iou?.numbers ?? null,
    layers,
    phases: layers.method === 'dispersion' ? phasesOf(calibrating, layers.objectLayer) : null,
    layerMap: layerMap(totals.rankDistances, depth, seed),
    neighbourSimilarity: mean[SHARES.length * depth + 1] as number,
    findings: {
      objectsInTheMiddle: iou?.finding ?? null,
      globalInTheDeep: globalInTheDeep(calibrating, layers),
    },
  }
}

function iouNumbers({ iou, depth }: StudyTotals) {
  if (iou.count === 0) return undefined
  const row = iou.mean()
  const mean = row.subarray(0, depth)
  const [chance, best, objectShare] = row.subarray(depth) as unknown as [number, number, number]
  const replicates = iou.replicateMeans().map((replicate) => replicate.subarray(0, depth))
  const middle = mean[middleLayer(depth) - 1] as number
  const numbers = {
    images: iou.count,
    ...curveOf(iou, 0, depth),
    relative: Array.from(mean, (value) => value / middle),
    ends: relativeIou(mean, replicates),
    chance,
    best,
    objectShare,
    bestLayer: mean.indexOf(Math.max(...mean)) + 1,
  }
  return { numbers, finding: objectsInTheMiddle(mean, chance, replicates) }
}

function curveOf(statistics: StudyTotals['iou'], start: number, length: number): LayerCurve {
  const replicates = statistics.replicateMeans()
  const intervals = Array.from({ length }, (_, i) => intervalOf(replicates.map((row) => row[start + i] as number)))
  return {
    mean: Array.from(statistics.mean().subarray(start, start + length)),
    deviation: Array.from(statistics.deviation().subarray(start, start + length)),
    low95: intervals.map(([low]) => low),
    high95: intervals.map(([, high]) => high),
  }
}

/** SPEC 6 asks for perplexity 20, which an encoder of fewer than 61 layers cannot have: it is lowered to (L - 1) / 3. */
const LAYER_PERPLEXITY = 20

function layerMap(pairs: Float64Array, depth: number, seed: number): StudyNumbers['layerMap'] {
  const squared = new Float64Array(depth * depth)
  let pair = 0
  for (let a = 0; a < depth; a++) {
    for (let b = a + 1; b < depth; b++) {
      squared[a * depth + b] = pairs[pair] as number
      squared[b * depth + a] = pairs[pair++] as number
    }
  }
  const perplexity = usablePerplexity(LAYER_PERPLEXITY, depth)
  return { points: Array.from(tsne(squared, depth, { perplexity, seed })), perplexity }
}
