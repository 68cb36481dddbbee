import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import Table from 'cli-table3'
import { Command } from 'commander'
import { ArgumentError, ModelError, parseBudget, resolveBudget } from '../index.js'
import {
  countFlops,
  countGraphFlops,
  flopPresets,
  knownShape,
  knownShapes,
  kvCacheBytes,
  readGraphParameters,
  shapeFromConfig,
  textTowerFlops,
  type FlopCount,
  type FlopPreset,
  type GraphParameters,
  type TokenCounts,
  type VlmShape,
} from '../evaluation/index.js'
import { readEncoderFile } from './encoder-file.js'
import { positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'

interface FlopsOptions {
  keep: string
  tokens?: string
  tiles?: string
  text: string
  preset: string
  graph?: boolean
  dtype: string
  kv: string
  json?: boolean
}

const DEFAULT_MODEL = 'llava-1.5-7b'

export function flopsCommand(): Command {
  return new Command('flops')
    .description('Count the operations and KV cache bytes of a prompt, with all visual tokens and with fewer')
    .argument('[model]', `a folder with config.json, or ${Object.keys(knownShapes).join(', ')}`, DEFAULT_MODEL)
    .option('--keep <budgets>', 'visual tokens kept: counts or ratios, separated by commas', '1/3,2/9,1/9')
    .option('--tokens <n>', 'visual tokens of the whole image, where the model takes any resolution')
    .option('--tiles <n>', 'tiles of the image')
    .option('--text <n>', 'text tokens of the prompt', '49')
    .option('--preset <name>', `how to count: ${flopPresets.join(', ')} or all`, 'calflops')
    .option('--graph', 'count the weights in the ONNX files of the folder instead of trusting config.json (calflops)')
    .option('--dtype <dtype>', 'with --graph: which files, fp32, fp16, q8, q4, ...', 'fp32')
    .option('--kv <dtype>', 'numbers in the KV cache: fp16 or fp32', 'fp16')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  hiprune flops llava-1.5-7b --keep 192,128,64\n  hiprune flops models/mine --graph',
    )
    .action(runFlops)
}

interface Row {
  readonly preset: FlopPreset
  readonly tokens: TokenCounts
  readonly flops: FlopCount
  readonly kvCacheBytes?: number
}

async function runFlops(model: string, options: FlopsOptions): Promise<void> {
  const presets = presetsOf(options)
  const budgets = options.keep.split(',').map((budget) => parseBudget(budget.trim()))
  const text = options.text === '0' ? 0 : positiveInteger('--text', options.text)
  const { shape, graph } = await describe(model, options)
  const tiles = options.tiles === undefined ? (shape?.tiles ?? 1) : positiveInteger('--tiles', options.tiles)
  const visual = visualTokens(options, graph?.tokensPerTile ?? shape?.tokensPerTile, tiles)
  const counts = [...new Set([visual, ...budgets.map((budget) => resolveBudget(budget, visual))])]
  const bytes = bytesOf(options.kv)
  const rows = presets.flatMap((preset) =>
    counts.map((kept): Row => {
      const tokens = { visual, kept, text, tiles }
      const flops = graph ? countGraphFlops(graph, tokens) : countFlops(shape as VlmShape, tokens, preset)
      return { preset, tokens, flops, ...(shape && { kvCacheBytes: kvCacheBytes(shape, kept + text, bytes) }) }
    }),
  )
  const source = graph ? 'weights in the ONNX files' : (shape as VlmShape).name
  if (options.json) printJson({ model, source, kv: options.kv, rows })
  else
    for (const preset of presets)
      print(
        tableOf(
          rows.filter((row) => row.preset === preset),
          source,
          options.kv,
        ),
      )
  if (!options.json && !graph && presets.includes('calflops'))
    print(`hiprune++ adds ${scaleOf(0)(textTowerFlops(visual)).text} (CLIP's text tower and patch projection)`)
}

function presetsOf({ preset, graph }: FlopsOptions): readonly FlopPreset[] {
  const allowed = [...flopPresets, 'all']
  if (!allowed.includes(preset)) throw new ArgumentError('--preset', preset, allowed.join(', '))
  if (graph && preset !== 'calflops') throw new ArgumentError('--preset', preset, 'calflops, with --graph')
  return preset === 'all' ? flopPresets : [preset as FlopPreset]
}

function bytesOf(kv: string): 2 | 4 {
  if (kv !== 'fp16' && kv !== 'fp32') throw new ArgumentError('--kv', kv, 'fp16, fp32')
  return kv === 'fp16' ? 2 : 4
}

function visualTokens({ tokens }: FlopsOptions, perTile: number | undefined, tiles: number): number {
  if (tokens !== undefined) return positiveInteger('--tokens', tokens)
  if (perTile !== undefined) return perTile * tiles
  throw new ArgumentError('--tokens', tokens, 'the number of visual tokens, for this encoder takes any resolution')
}

/** A known model by its name, or a folder: its config.json, and with --graph its ONNX files. */
async function describe(
  model: string,
  { graph, dtype }: FlopsOptions,
): Promise<{ shape?: VlmShape; graph?: GraphParameters }> {
  const found = await stat(model).catch(() => undefined)
  if (!found?.isDirectory()) {
    if (graph) throw new ArgumentError('model', model, 'a folder with onnx/vision_encoder.onnx, with --graph')
    if (!(model in knownShapes))
      throw new ArgumentError('model', model, `a folder with config.json, ${Object.keys(knownShapes).join(', ')}`)
    return { shape: knownShape(model) }
  }
  const shape = await shapeOf(model).catch((error: unknown) => {
    // The graph needs no configuration; only the KV cache is then not counted.
    if (graph) return undefined
    throw error
  })
  if (!graph) return { shape: shape as VlmShape }
  const read = (session: string) => readEncoderFile(path.join(model, 'onnx', fileName(session, dtype)))
  const parameters = readGraphParameters(await read('vision_encoder'), await read('decoder_model_merged'))
  return { graph: parameters, ...(shape && { shape }) }
}

async function shapeOf(folder: string): Promise<VlmShape> {
  const file = path.join(folder, 'config.json')
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ModelError(`${file}: no such file; expected a model folder in the Transformers.js layout`)
  })
  let config: unknown
  try {
    config = JSON.parse(text)
  } catch (error) {
    throw new ModelError(`${file}: not JSON (${(error as Error).message})`)
  }
  if (typeof config !== 'object' || config === null) throw new ModelError(`${file}: not a JSON object`)
  return shapeFromConfig(config as Record<string, unknown>, path.basename(path.resolve(folder)))
}

function fileName(session: string, dtype: string): string {
  const suffix = dtype === 'fp32' ? '' : dtype === 'q8' ? '_quantized' : `_${dtype}`
  return `${session}${suffix}.onnx`
}

function tableOf(rows: readonly Row[], source: string, kv: string): string {
  const [all] = rows as [Row]
  const table = new Table({
    head: ['visual tokens', 'prompt', 'encoder', 'projector', 'language model', 'total', 'less', `KV cache (${kv})`],
    style: { head: [], border: [], compact: true },
    colAligns: Array<'right'>(8).fill('right'),
  })
  const printed = scaleOf(all.flops.total)
  for (const { tokens, flops, kvCacheBytes: bytes } of rows) {
    // From the numbers as printed, so that a reader comes to the same.
    const less = 1 - printed(flops.total).value / printed(all.flops.total).value
    table.push([
      tokens.kept,
      tokens.kept + tokens.text,
      ...[flops.encoder, flops.projector, flops.llm, flops.total].map((part) => printed(part).text),
      less > 0 ? `${(less * 100).toFixed(1)} %` : '',
      bytes === undefined ? '' : `${(bytes / 2 ** 20).toFixed(1)} MiB`,
    ])
  }
  return `${source}, counted as ${all.preset}\n${table.toString()}`
}

/** One unit for all numbers of a table, two decimals. */
function scaleOf(largest: number): (flops: number) => { value: number; text: string } {
  const [size, unit] = largest >= 1e12 ? [1e12, 'TFLOPs'] : [1e9, 'GFLOPs']
  return (flops) => {
    const value = (flops / size).toFixed(2)
    return { value: Number(value), text: flops === 0 ? '-' : `${value} ${unit}` }
  }
}
