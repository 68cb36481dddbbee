import { readFile, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { ArgumentError, ModelError, parseBudget, prunerNames, type PrunedModel, type PrunerName } from '../index.js'
import {
  benchImage,
  benchModel,
  checkComparison,
  encoderSizes,
  judge,
  measureLeak,
  questionOf,
  readComparison,
  renderBench,
  shapePresets,
  shapeSizes,
  type BenchReport,
  type EncoderComparison,
  type EncoderSizes,
  type ModelBench,
  type ShapeSizes,
} from '../evaluation/index.js'
import { readImage } from '../node.js'
import { describeMachine, nodeHost } from './bench-host.js'
import { countProgress } from './count-progress.js'
import { demoModel, loadModel } from './model-options.js'
import { positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'
import { writeShapeFolder } from './shape-folder.js'

interface BenchCommandOptions {
  model?: string
  shape?: string
  size?: string
  shapeFolder?: string
  keep: string
  method: string
  repeat: string
  maxTokens: string
  text: string
  question: string
  image?: string
  threads?: string
  dtype?: string
  device?: string
  leak?: string | true
  compare?: string
  out?: string
  json?: boolean
  seed: string
}

/** Tokens of a shape model's prompt that are not the question: <s>, USER: and ASSISTANT:. */
const FRAME_TOKENS = 3
const LEAK_CALLS = '200'

export function benchCommand(): Command {
  return new Command('bench')
    .description('Measure every stage, with all visual tokens and with fewer, and judge the promises')
    .option(
      '--model <model>',
      'demo, a folder in the Transformers.js layout, or a hub id (default: demo, without --shape)',
    )
    .option('--shape <name>', `a model of real sizes with random weights: ${Object.keys(shapePresets).join(', ')}`)
    .option('--size <sizes>', 'sizes of the shape model that differ, e.g. vision.layers=4,text.width=512')
    .option('--shape-folder <folder>', 'where to write (and keep) the shape model, else a temporary folder')
    .option('--keep <budgets>', 'budgets to compare with all tokens, separated by commas', '1/3,2/9,1/9')
    .option('--method <name>', 'selection method', 'hiprune')
    .option('--repeat <n>', 'measured rounds', '5')
    .option('--max-tokens <n>', 'tokens of an answer', '8')
    .option('--text <n>', "text tokens of the shape model's prompt", '49')
    .option('--question <text>', 'question to the other model', 'describe the image .')
    .option('--image <file>', 'an image instead of a synthetic one')
    .option('--threads <n>', "threads of ONNX Runtime (default: the runtime's choice)")
    .option('--dtype <dtype>', 'of the other model: fp32, fp16, q8, q4, ...')
    .option('--device <device>', 'cpu, webgpu, ...')
    .option('--leak [calls]', 'follow the memory of the process over so many generate() calls')
    .option('--compare <file>', 'what training/compare_encoder.py measured of the same encoder in PyTorch')
    .option('-o, --out <file.md>', 'write the report to this file too')
    .option('--json', 'print one JSON object')
    .option('--seed <n>', 'seed of weights and image', '1')
    .addHelpText('after', EXAMPLES)
    .action(runBench)
}

const EXAMPLES = `
Examples:
  hiprune bench
  hiprune bench --shape vit-l-0.5b --leak -o report.md
  hiprune bench --shape vit-l-0.5b --size text.layers=4 --repeat 3`

async function runBench(options: BenchCommandOptions): Promise<void> {
  const plan = planOf(options)
  const comparison = options.compare === undefined ? undefined : await comparisonIn(options.compare)
  if (comparison) checkComparison(comparison, await Promise.all(plan.targets.map(encoderOf)))
  if (options.out) await checkReportFile(options.out)
  const image = options.image ? await readImage(options.image) : benchImage(plan.seed)
  const loadBefore = os.loadavg()[0] ?? 0
  const models: ModelBench[] = []
  const onRun = showProgress()
  let leak: BenchReport['leak']
  for (const target of plan.targets) {
    await withModel(target, plan, async (loaded, folder) => {
      const { name, question } = target
      models.push(
        await benchModel(loaded, {
          ...plan,
          name,
          question,
          source: { modelId: folder },
          images: [image],
          onRun,
        }),
      )
      if (plan.leakCalls === undefined || leak) return
      const result = await measureLeak(loaded, image, question, plan.leakCalls, plan.host, (done, total) =>
        onRun(`${name}: memory`, done, total),
      )
      leak = result && { ...result, model: name }
    })
  }
  const report: BenchReport = {
    command: commandLine(),
    machine: describeMachine(options.threads, loadBefore),
    seed: plan.seed,
    repeat: plan.repeat,
    models,
    ...(leak && { leak }),
    ...(comparison && { comparison }),
  }
  const text = renderBench(report)
  if (options.out) await writeFile(options.out, `${text}\n`)
  if (options.json) printJson({ ...report, goals: judge(models, leak) })
  else print(text)
}

/** One model to measure: a folder or hub id, or sizes. */
interface Target {
  readonly name: string
  readonly question: string
  readonly model?: string
  readonly sizes?: ShapeSizes
}

/** All options, checked before anything is written or loaded. */
function planOf(options: BenchCommandOptions) {
  const budgets = options.keep.split(',').map((budget) => budget.trim())
  budgets.forEach((budget) => parseBudget(budget))
  if (!(prunerNames as readonly string[]).includes(options.method))
    throw new ArgumentError('--method', options.method, prunerNames.join(', '))
  const threads = options.threads === undefined ? undefined : positiveInteger('--threads', options.threads)
  const leak = options.leak === true ? LEAK_CALLS : options.leak
  return {
    targets: targetsOf(options),
    budgets,
    method: options.method as PrunerName,
    repeat: positiveInteger('--repeat', options.repeat),
    newTokens: positiveInteger('--max-tokens', options.maxTokens),
    seed: positiveInteger('--seed', options.seed),
    leakCalls: leak === undefined ? undefined : positiveInteger('--leak', leak),
    host: nodeHost(),
    shapeFolder: options.shapeFolder,
    loading: {
      ...(options.dtype !== undefined && { dtype: options.dtype }),
      ...(options.device !== undefined && { device: options.device }),
    },
    session_options: threads === undefined ? undefined : { intraOpNumThreads: threads },
  }
}

type Plan = ReturnType<typeof planOf>

function targetsOf({ model, shape, size, shapeFolder, text, question }: BenchCommandOptions): Target[] {
  if (shape === undefined && size !== undefined) throw new ArgumentError('--size', size, 'sizes, with --shape')
  if (shape === undefined && shapeFolder !== undefined)
    throw new ArgumentError('--shape-folder', shapeFolder, 'a folder, with --shape')
  const targets: Target[] = []
  if (model !== undefined || shape === undefined) {
    const name = model === undefined || model === 'demo' ? 'demo-vlm' : path.basename(model)
    targets.push({ name, question, model: name === 'demo-vlm' ? demoModel : (model as string) })
  }
  if (shape !== undefined) {
    const words = positiveInteger('--text', text) - FRAME_TOKENS
    if (words < 1) throw new ArgumentError('--text', text, `an integer from ${FRAME_TOKENS + 1}`)
    const name = `${shape}${size === undefined ? '' : ` (${size})`}, random weights`
    targets.push({ name, question: questionOf(words), sizes: shapeSizes(shape, sizesOf(size)) })
  }
  return targets
}

/** `vision.layers=4,text.width=512` */
function sizesOf(text: string | undefined): Record<string, number> {
  if (text === undefined) return {}
  const entries = text.split(',').map((entry) => {
    const [, key, value] = /^\s*([\w.]+)\s*=\s*(\d{1,7})\s*$/.exec(entry) ?? []
    if (key === undefined) throw new ArgumentError('--size', text, 'sizes such as vision.layers=4,text.width=512')
    return [key, Number(value)] as const
  })
  return Object.fromEntries(entries)
}

/** Loads a target, writing it first where it is made of sizes, and cleans up behind `run`. */
async function withModel(
  { model, sizes }: Target,
  { seed, shapeFolder, loading, session_options }: Plan,
  run: (loaded: PrunedModel, folder: string) => Promise<void>,
): Promise<void> {
  const shape = sizes && (await writeShapeFolder(sizes, seed, shapeFolder))
  try {
    const folder = shape?.folder ?? (model as string)
    const options = {
      ...(shape ? { ...loading, dtype: 'fp32' } : loading),
      ...(session_options && { session_options }),
    }
    const loaded = await loadModel({ model: folder }, options as Parameters<typeof loadModel>[1])
    try {
      await run(loaded, folder)
    } finally {
      await loaded.model.dispose()
    }
  } finally {
    await shape?.remove()
  }
}

async function comparisonIn(file: string): Promise<EncoderComparison> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ModelError(`${file}: no such file; training/compare_encoder.py --json writes it`)
  })
  return readComparison(text, file)
}

/** The encoder's sizes of a target that has not been loaded; undefined for a hub id. */
async function encoderOf({ model, sizes }: Target): Promise<EncoderSizes | undefined> {
  if (sizes) return sizes.vision
  const text = await readFile(path.join(model as string, 'config.json'), 'utf8').catch(() => '{}')
  return encoderSizes(JSON.parse(text) as object)
}

async function checkReportFile(file: string): Promise<void> {
  if (path.extname(file).toLowerCase() !== '.md') throw new ArgumentError('--out', file, 'a file name that ends in .md')
  const folder = await stat(path.dirname(file)).catch(() => undefined)
  if (!folder?.isDirectory()) throw new ArgumentError('--out', file, 'a file in a folder that exists')
}

/** A bar for each part of the measurement. */
function showProgress(): (what: string, done: number, total: number) => void {
  let current = { what: '', bar: undefined as ReturnType<typeof countProgress> }
  return (what, done, total) => {
    if (what !== current.what) current = { what, bar: countProgress(what, 0, total) }
    current.bar?.update(done)
    if (done === total) current.bar?.stop()
  }
}

/** The command as it can be typed anywhere: folders of this machine are left out. */
function commandLine(): string {
  const words = process.argv.slice(2).map((word) => (path.isAbsolute(word) ? path.basename(word) : word))
  return ['hiprune', ...words.map((word) => (/[\s"']/.test(word) ? JSON.stringify(word) : word))].join(' ')
}
