import type { ModelBench } from './bench-model.js'
import { sameSizes, type EncoderComparison } from './comparison.js'
import { judge, type Goal } from './goals.js'
import type { LeakResult } from './leak.js'
import { markdownTable } from './markdown-table.js'
import type { StageName, VariantResult } from './stages.js'
import type { Summary } from './summary.js'

/** The place and moment of a measurement: without them its numbers mean nothing. */
export interface Machine {
  readonly date: string
  readonly cpu: string
  readonly cores?: number
  readonly memoryBytes?: number
  /** Name and version of what ran it: Node or browser, Transformers.js, ONNX Runtime, hiprune. */
  readonly versions: Readonly<Record<string, string>>
  readonly threads: string
  /** Load averages over one minute, before and after. */
  readonly load?: readonly [number, number]
}

export interface BenchReport {
  /** The command that made it. */
  readonly command: string
  readonly machine: Machine
  readonly seed: number
  readonly repeat: number
  readonly models: readonly ModelBench[]
  readonly leak?: LeakResult & { readonly model: string }
  readonly comparison?: EncoderComparison
}

/** The report as people read it, with every goal judged. */
export function renderBench(report: BenchReport): string {
  const goals = judge(report.models, report.leak)
  return [
    '# What pruning costs and saves',
    head(report),
    '## Goals',
    goalTable(goals),
    ...report.models.flatMap((model) => modelSection(model, report.comparison)),
  ].join('\n\n')
}

function head({ command, machine, seed, repeat }: BenchReport): string {
  const { date, cpu, cores, memoryBytes, versions, threads, load } = machine
  const place = [
    `${cores === undefined ? '' : `${cores} x `}${cpu}`,
    ...(memoryBytes === undefined ? [] : [`${(memoryBytes / 2 ** 30).toFixed(0)} GiB`]),
    ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
    `threads: ${threads}`,
    ...(load ? [`load average ${load[0].toFixed(2)} before, ${load[1].toFixed(2)} after`] : []),
  ]
  return (
    `Printed by \`${command}\` on ${date} (seed ${seed}, ${repeat} rounds).\n${place.join(', ')}.\n\n` +
    'All tokens and every budget alternate within one run. Times are medians with the lowest and the highest in brackets; a\n' +
    'speed-up is the median over the rounds of all tokens over these. The ideal is the ratio of the operations, counted as in the\n' +
    'paper (`hiprune flops`). Times of another machine, or another hour, mean nothing beside these.'
  )
}

function goalTable(goals: readonly Goal[]): string {
  const verdict = (met: boolean | undefined) => (met === undefined ? 'not judged' : met ? 'met' : 'not met')
  const rows = goals.map(({ goal, model, met, measured }) => [goal, model, verdict(met), measured])
  return markdownTable([['goal', 'model', '', 'measured'], ...rows])
}

function modelSection(model: ModelBench, comparison: EncoderComparison | undefined): string[] {
  const { name, dtype, device, variants, encoder } = model
  const [all] = variants as [VariantResult]
  const text = all.promptTokens - all.keptTokens
  return [
    `## ${name}`,
    `${dtype} on ${device}; ${all.visualTokens} visual tokens, ${text} text tokens.`,
    markdownTable(stageRows(variants)),
    ...(encoder ? ['### The encoder', encoderText(model, comparison), encoderTable(model, comparison)] : []),
  ]
}

const STAGES: readonly [StageName, string][] = [
  ['preprocessMs', 'preprocess'],
  ['encodeMs', 'encode'],
  ['selectMs', 'select'],
  ['prefillMs', 'prefill'],
  ['decodeMsPerToken', 'decode, a token'],
  ['timeToFirstTokenMs', 'time to first token'],
]

/** One row a stage, one pair of columns a variant: time and speed-up with its ideal. */
function stageRows(variants: readonly VariantResult[]): string[][] {
  const [all, ...pruned] = variants as [VariantResult, ...VariantResult[]]
  const head = ['', 'all', ...pruned.flatMap(({ budget }) => [budget, 'speed-up (ideal)'])]
  const stages = STAGES.map(([stage, name]) => [
    name,
    timeText(all.stages[stage]?.times),
    ...pruned.flatMap((variant) => [timeText(variant.stages[stage]?.times), speedUpText(variant, stage)]),
  ])
  const fact = (name: string, of: (variant: VariantResult) => string, ratio: (variant: VariantResult) => string) => [
    name,
    of(all),
    ...pruned.flatMap((variant) => [of(variant), ratio(variant)]),
  ]
  const times = (before: number, after: number) => `${(before / after).toFixed(2)} x`
  return [
    head,
    fact(
      'visual tokens',
      ({ keptTokens }) => String(keptTokens),
      (v) => times(all.keptTokens, v.keptTokens),
    ),
    fact(
      'prompt tokens',
      ({ promptTokens }) => String(promptTokens),
      (v) => times(all.promptTokens, v.promptTokens),
    ),
    ...stages,
    fact(
      'KV cache',
      ({ kvCacheBytes }) => mebibytes(kvCacheBytes),
      (v) => times(all.kvCacheBytes, v.kvCacheBytes),
    ),
    ...(all.peakBytes === undefined
      ? []
      : [
          fact(
            'peak memory',
            ({ peakBytes = 0 }) => mebibytes(peakBytes),
            (v) => times(all.peakBytes ?? 0, v.peakBytes ?? 1),
          ),
        ]),
  ]
}

function timeText(times: Summary | undefined): string {
  if (!times) return '-'
  const digits = times.median < 10 ? 2 : times.median < 100 ? 1 : 0
  return `${times.median.toFixed(digits)} ms (${times.low.toFixed(digits)} to ${times.high.toFixed(digits)})`
}

function speedUpText({ stages, ideal }: VariantResult, stage: StageName): string {
  const result = stages[stage]
  if (!result || stage === 'selectMs') return ''
  const { median, low, high } = result.speedUp
  const best = idealOf(ideal, stage)
  const range = `${low.toFixed(2)} to ${high.toFixed(2)}`
  return `${median.toFixed(2)} x, ${range}${best === undefined ? '' : ` (${best.toFixed(2)})`}`
}

function idealOf(ideal: VariantResult['ideal'], stage: StageName): number | undefined {
  if (stage === 'prefillMs') return ideal?.prefill
  if (stage === 'timeToFirstTokenMs') return ideal?.timeToFirstToken
  return 1
}

function encoderText({ encoder }: ModelBench, comparison: EncoderComparison | undefined): string {
  const layers = `layers ${encoder?.layers.object} and ${encoder?.layers.deep}`
  const other = comparison
    ? ` PyTorch's rows come from \`training/compare_encoder.py\` on ${comparison.threads} thread${comparison.threads === 1 ? '' : 's'}: compare ratios, not times.`
    : ''
  return (
    `As exported and with the attention of ${layers} as extra outputs, in turn. "In added nodes" is the runtime's own profile;\n` +
    `memory is what the first run adds.${other}`
  )
}

function encoderTable({ encoder, encoderSizes }: ModelBench, comparison: EncoderComparison | undefined): string {
  if (!encoder) return ''
  const rows = [
    ['', 'time', 'over plain', 'in added nodes', 'memory'],
    ['exported', timeText(encoder.plain), '', '', bytesText(encoder.plainBytes)],
    [
      'tapped',
      timeText(encoder.tapped),
      ratioText(encoder.ratio),
      encoder.addedShare === undefined ? '' : `${(encoder.addedShare * 100).toFixed(2)} %`,
      bytesText(encoder.tappedBytes),
    ],
  ]
  if (comparison && encoderSizes && sameSizes(comparison.sizes, encoderSizes)) {
    const torch = `PyTorch ${comparison.versions['torch'] ?? ''}`.trim()
    rows.push(
      [`${torch}, sdpa`, timeText(comparison.plain), '', '', bytesText(comparison.plainBytes)],
      [
        `${torch}, eager, attention of all layers`,
        timeText(comparison.eager),
        ratioText(comparison.ratio),
        '',
        bytesText(comparison.eagerBytes),
      ],
    )
  }
  return markdownTable(rows)
}

function ratioText({ median, low, high }: Summary): string {
  return `${median.toFixed(3)} x, ${low.toFixed(3)} to ${high.toFixed(3)}`
}

function mebibytes(bytes: number): string {
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(1)} KiB`
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}

function bytesText(bytes: number | undefined): string {
  return bytes === undefined ? '' : mebibytes(bytes)
}
