/**
 * The hierarchy study (SPEC 6): which layers of a vision encoder look at objects, which look everywhere, and which layers suit
 * pruning. Published as 'hiprune/analysis'.
 */

// The study: images in, numbers out.
export { measureImages, type OnMeasured, type StudyImage } from './study.js'
export { measureImage, type ImageMeasures } from './measure.js'
export { SHARES, StudyTotals, type StudyTotalsState } from './totals.js'
export { layersCsv } from './csv.js'
export { studyNumbers, type LayerCurve, type StudyNumbers } from './numbers.js'

// Encoders.
export {
  createLayerEncoder,
  type EncodedLayers,
  type LayerEncoder,
  type LayerEncoderParts,
  type PreparedImage,
} from './encoder.js'
export {
  openEncoderFile,
  openModelEncoder,
  type EncoderFile,
  type OpenOptions,
  type StudyEncoder,
} from './open-encoder.js'
export { type PixelOptions } from './prepare.js'

// Calibration and findings.
export { calibrationOf, masksInWords, type Calibration, type LayerChoice } from './calibration.js'
export { phasesOf, type Phases } from './jump.js'
export { type Finding, type RelativeIou } from './pattern.js'

// Object masks.
export { readCoco, type CocoInstances } from './coco.js'
export { objectTokens, tokenCoverage, type ObjectMask } from './masks.js'

// Quantities, each alone.
export { iouOf } from './iou.js'
export { meanDistances, pairwiseDistances } from './dispersion.js'
export { ranksOf, topCount } from './ranks.js'
export { neighbourSimilarity } from './redundancy.js'
export { tokenMap, type TokenMap } from './token-map.js'
export { tsne, usablePerplexity, type TsneOptions } from './tsne.js'

// Redundancy of visual and text tokens.
export { compareAnswers, noAnswers, type AnswerTotals, type StudyQuestion } from './answers.js'
