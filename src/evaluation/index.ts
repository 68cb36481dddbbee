/** What pruning costs and saves, counted and measured. Published as 'hiprune/evaluation'. */
export { countFlops, flopPresets, kvCacheBytes, llmFlops, textTowerFlops } from './flops/count.js'
export type { FlopCount, FlopPreset, TokenCounts } from './flops/count.js'
export { shapeFromConfig } from './flops/from-config.js'
export { countGraphFlops, readGraphParameters, type GraphParameters } from './flops/from-graph.js'
export { paperClock } from './flops/paper.js'
export { knownShape, knownShapes, type TextShape, type VisionShape, type VlmShape } from './flops/shape.js'

// Models of real sizes with random weights.
export { questionOf, shapeModelFiles } from './shape-models/model-folder.js'
export { bytesOf, sizeOf, type RandomFile, type RandomWeights } from './shape-models/random-file.js'
export { shapePresets, shapeSizes, type ShapeSizes, type VisionSizes } from './shape-models/sizes.js'

// Stages, memory and goals, measured.
export { benchImage } from './bench/bench-image.js'
export { benchModel, type BenchModelOptions, type ModelBench } from './bench/bench-model.js'
export {
  checkComparison,
  encoderSizes,
  readComparison,
  type EncoderComparison,
  type EncoderSizes,
} from './bench/comparison.js'
export type { EncoderResult } from './bench/encoder.js'
export { judge, type Goal } from './bench/goals.js'
export type { BenchHost } from './bench/host.js'
export { measureLeak, type LeakResult } from './bench/leak.js'
export { renderBench, type BenchReport, type Machine } from './bench/report.js'
export type { IdealSpeedUps, StageName, StageResult, VariantResult } from './bench/stages.js'
export type { Summary } from './bench/summary.js'

// Accuracy: data sets, rules, and every method at every budget from one run of the encoder an image.
export { choiceLines, type Example, type ImageSource } from './datasets/example.js'
export {
  dataSetName,
  dataSets,
  readDataSet,
  type DataSet,
  type DataSetInfo,
  type DataSetName,
} from './datasets/index.js'
export type { DataFile } from './datasets/rows.js'
export { answerImage, type ImageAnswers, type ImageQuestion } from './engine/answer-image.js'
export { openEngine, type Engine, type EngineOptions } from './engine/engine.js'
export type { FirstTokenTimes } from './engine/time-image.js'
export { evaluateImage, type ImageRecord } from './evaluate-image.js'
export type { Judged, Judgement, Metrics, Rule } from './metrics/rule.js'
export { planImages, type PlacedSet, type PlannedImage } from './plan.js'
export { mcnemar, median, type PairedTest } from './statistics.js'
export {
  answersBySet,
  judgeCell,
  summarize,
  type CellSummary,
  type Estimate,
  type SetAnswers,
  type SetSummary,
} from './summary.js'
export {
  ALL_TOKENS,
  cellsOf,
  evaluatedMethods,
  parseBudgets,
  parseVariants,
  type Cell,
  type EvaluatedMethod,
  type Variant,
} from './variants.js'
export { llavaAnswer, lmmsSample } from './official-forms.js'
export { medianTimes, type TimeSummary } from './times.js'
export {
  budgetsOf,
  labelsOf,
  lossesInWords,
  lossesOf,
  markdownTable,
  reportCsv,
  resultTable,
  taskLossesOf,
  taskTables,
  testTable,
  timesTable,
  type Loss,
} from './report.js'
export { publishedTables, type PublishedTable } from './published.js'
