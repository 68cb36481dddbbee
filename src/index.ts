// Selection: pure functions on scores.
export {
  complexityOf,
  createPruner,
  methodInfo,
  parseBudget,
  prunerNames,
  relevanceToText,
  resolveBudget,
  splitByWeight,
  TokenRole,
  type BorderRule,
  type Budget,
  type BudgetInput,
  type BudgetSplit,
  type BufferShape,
  type CDPrunerOptions,
  type HiPruneOptions,
  type HiPrunePlusPlusOptions,
  type LrcpOptions,
  type MethodInfo,
  type PatchGrid,
  type Pruner,
  type PruneInput,
  type PrunerName,
  type PrunerOptions,
  type RandomOptions,
  type ScoreName,
  type TokenSelection,
  type VisionZipOptions,
  type VisPrunerOptions,
} from './pruning/index.js'

// Models: pruning inside Transformers.js.
export {
  ask,
  loadPruned,
  tapModel,
  unprune,
  videoFrames,
  withPruning,
  type Answer,
  type AskOptions,
  type LoadPrunedOptions,
  type PrunedModel,
  type PruningOptions,
  type SelectionEvent,
  type StageEvent,
  type StageTimes,
  type TapOptions,
} from './generation/index.js'

// Pictures and videos.
export { seenRegion } from './models/index.js'
export { sampleFrames, type Video, type Visual } from './image/index.js'
export { overlaySvg, type OverlayPanel, type Region } from './image/index.js'

export { ArgumentError, HipruneError, ImageError, ModelError } from './errors.js'
