export { complexityOf, parseBudget, resolveAuto, resolveBudget, type Budget, type BudgetInput } from './budget.js'
export type { BorderRule, BufferShape } from './buffers.js'
export type { CDPrunerOptions } from './cdpruner.js'
export type { HiPruneOptions } from './hiprune.js'
export type { HiPrunePlusPlusOptions } from './hiprune-plus-plus.js'
export type { LrcpOptions } from './lrcp.js'
export { methodInfo, type MethodInfo } from './methods.js'
export type { RandomOptions } from './random.js'
export { relevanceToText } from './relevance.js'
export { createPruner, prunerNames, type PrunerName, type PrunerOptions } from './registry.js'
export { checkSplit, splitByWeight, splitEvenly, type BudgetSplit } from './split-budget.js'
export {
  TokenRole,
  type PatchGrid,
  type Pruner,
  type PruneInput,
  type ScoreName,
  type TokenSelection,
} from './types.js'
export type { VisionZipOptions } from './visionzip.js'
export type { VisPrunerOptions } from './vispruner.js'
