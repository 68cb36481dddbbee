export { parseBudget, resolveBudget, type Budget, type BudgetInput } from './budget.js'
export type { BorderRule, BufferShape } from './buffers.js'
export type { HiPruneOptions } from './hiprune.js'
export type { RandomOptions } from './random.js'
export { createPruner, prunerNames, type PrunerName, type PrunerOptions } from './registry.js'
export {
  TokenRole,
  type PatchGrid,
  type Pruner,
  type PruneInput,
  type ScoreName,
  type TokenSelection,
} from './types.js'
