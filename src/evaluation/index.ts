/** What pruning costs and saves, counted and measured. Published as 'hiprune/evaluation'. */
export { countFlops, flopPresets, kvCacheBytes, llmFlops, textTowerFlops } from './flops/count.js'
export type { FlopCount, FlopPreset, TokenCounts } from './flops/count.js'
export { shapeFromConfig } from './flops/from-config.js'
export { countGraphFlops, readGraphParameters, type GraphParameters } from './flops/from-graph.js'
export { paperClock } from './flops/paper.js'
export { knownShape, knownShapes, type TextShape, type VisionShape, type VlmShape } from './flops/shape.js'
