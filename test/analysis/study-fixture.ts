import { studyNumbers, StudyTotals, type ImageMeasures, type StudyNumbers } from '../../src/analysis/index.js'
import { seededRandom } from '../../src/numeric/random.js'

/** Mean dispersion and IoU of six layers that show the paper's pattern. */
const DISPERSION = [11, 9, 9, 18, 19, 19]
const IOU = [0.1, 0.2, 0.3, 0.25, 0.2, 0.15]

/** Numbers of a made-up study of 40 images, the same on every machine. */
export function patternNumbers(withMasks = true): StudyNumbers {
  const totals = new StudyTotals(DISPERSION.length, 0)
  const random = seededRandom(1)
  for (let image = 0; image < 40; image++) totals.add(measuresOf(random, withMasks))
  return studyNumbers(totals)
}

function measuresOf(random: () => number, withMasks: boolean): ImageMeasures {
  const about = (values: number[], factor: number) => values.map((value) => factor * value * (0.9 + 0.2 * random()))
  const pairs = DISPERSION.flatMap((_, a) => DISPERSION.slice(a + 1).map((_, b) => (b + 1) * (1 + random())))
  return {
    dispersion: [1, 1.05, 1.1].map((factor) => about(DISPERSION, factor)),
    spread: 17,
    neighbourSimilarity: 6 + random(),
    rankDistances: Float64Array.from(pairs),
    ...(withMasks && { objects: { iou: about(IOU, 1), chance: 0.06, best: 0.7, share: 0.13 } }),
  }
}
