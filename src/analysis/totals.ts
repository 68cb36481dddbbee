import { RowStatistics, type RowStatisticsState } from './statistics.js'
import type { ImageMeasures } from './measure.js'

/** Shares of tokens whose dispersion is measured (SPEC 6). The first one calibrates. */
export const SHARES = [0.05, 0.1, 0.25] as const

/** Bootstrap samples. */
export const REPLICATES = 200

/** {@link StudyTotals} as JSON. */
export interface StudyTotalsState {
  readonly images: number
  readonly spread: RowStatisticsState
  readonly iou: RowStatisticsState
  readonly rankDistances: number[]
}

/** Everything that a study remembers of its images. Its size depends on the encoder's depth, not on how many images were seen. */
export class StudyTotals {
  images = 0
  /** Rows: dispersion of share 0, layers 1 to L; share 1; share 2; mean distance of all tokens; neighbour similarity. */
  readonly spread: RowStatistics
  /** Rows: IoU of layers 1 to L; IoU of a random choice; best possible IoU; share of object tokens. Only images with objects. */
  readonly iou: RowStatistics
  /** `[L (L - 1) / 2]` see `rankDistances`. */
  readonly rankDistances: Float64Array

  constructor(
    readonly depth: number,
    readonly seed: number,
  ) {
    this.spread = new RowStatistics(SHARES.length * depth + 2, REPLICATES, seed)
    this.iou = new RowStatistics(depth + 3, REPLICATES, seed)
    this.rankDistances = new Float64Array((depth * (depth - 1)) / 2)
  }

  add({ dispersion, spread, neighbourSimilarity, objects, rankDistances }: ImageMeasures): void {
    this.spread.add([...dispersion.flat(), spread, neighbourSimilarity], this.images)
    if (objects) this.iou.add([...objects.iou, objects.chance, objects.best, objects.share], this.images)
    for (let i = 0; i < rankDistances.length; i++) {
      this.rankDistances[i] = (this.rankDistances[i] as number) + (rankDistances[i] as number)
    }
    this.images++
  }

  toJSON(): StudyTotalsState {
    const { images, spread, iou, rankDistances } = this
    return { images, spread: spread.toJSON(), iou: iou.toJSON(), rankDistances: [...rankDistances] }
  }

  restore(state: StudyTotalsState): void {
    this.images = state.images
    this.spread.restore(state.spread)
    this.iou.restore(state.iou)
    this.rankDistances.set(state.rankDistances)
  }
}
