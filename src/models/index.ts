export {
  SEPARATOR,
  clsOf,
  type EncoderRun,
  type ImageLayout,
  type MixedGrid,
  type ModelAdapter,
  type TileMode,
} from './adapter.js'
export { dropBrokenFiles } from './broken-cache.js'
export {
  calibratedLayer,
  checkCalibration,
  encoderHash,
  readCalibration,
  type EncoderCalibration,
} from './calibration.js'
export { createSessionLike } from './create-session.js'
export { findModelFile, modelFileName, readModelFile, type ModelFile, type ModelSource } from './encoder-file.js'
export {
  checkTaps,
  layersToTap,
  scoresOf,
  tappedLayers,
  tapsFor,
  type TappedLayers,
  type TapScores,
} from './encoder-taps.js'
export { processorSource } from './processor-files.js'
export { describeSource, type ResolvedSource } from './source.js'
export { seenRegion } from './seen-region.js'
export { adapterFor } from './registry.js'
export type {
  ModelConfig,
  ModelInputs,
  ModelOutputs,
  OnnxSession,
  OrtTensor,
  VisionLanguageModel,
} from './transformers.js'
export { loadTextTower, PATCH_EMBEDS, type TextTower } from './text-tower.js'
