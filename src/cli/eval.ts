import os from 'node:os'
import path from 'node:path'
import { env, RawImage } from '@huggingface/transformers'
import { Command } from 'commander'
import {
  cellsOf,
  dataSets,
  evaluatedMethods,
  evaluateImage,
  openEngine,
  parseBudgets,
  parseVariants,
  planImages,
  summarize,
  type Cell,
  type Engine,
  type PlannedImage,
  type SetSummary,
} from '../evaluation/index.js'
import { ArgumentError, type LoadPrunedOptions } from '../index.js'
import { decodeImage, readImage } from '../node.js'
import { loadSets } from './eval-data.js'
import { FORMS, RunFolder, type Form, type RunConfig } from './eval-folder.js'
import { evalReportCommand } from './eval-report.js'
import { summaryTable } from './eval-table.js'
import { cpuModel, packageVersions } from './machine.js'
import { demoModel } from './model-options.js'
import { finiteNumber, positiveInteger } from './numbers.js'
import { note, print, printJson } from './output.js'
import { writeWhole } from './study-state.js'

interface EvalOptions {
  model: string
  data?: string[]
  images?: string[]
  methods: string
  keep: string
  limit?: string
  seed: string
  batch: string
  maxTokens: string
  timedImages: string
  objectLayer?: string
  calibration?: string
  dtype?: string
  device?: string
  forms: string
  out: string
  json?: boolean
}

export function evalCommand(): Command {
  const sets = Object.entries(dataSets).map(([name, { files }]) => `  ${name}=${files}`)
  const report = evalReportCommand()
  report.exitOverride().configureOutput({ writeErr: () => undefined })
  return new Command('eval')
    .description('Measure the accuracy of every method at every budget, the encoder running once an image')
    .option('--model <model>', 'demo, a folder in the Transformers.js layout, or a hub id', 'demo')
    .option('--data <set=file...>', 'data sets and their files (below)')
    .option('--images <folder...>', 'where the pictures lie, for all sets or as set=folder; default: beside the file')
    .option('--methods <list>', `all, or of ${evaluatedMethods.join(', ')}, with options: hiprune:alpha=0`, 'all')
    .option('--keep <list>', "budgets: counts, ratios and 'auto'", '1/3,2/9,1/9')
    .option('--limit <n>', 'most pictures of each set, spread evenly over it')
    .option('--seed <n>', 'seed of random methods and of the bootstrap', '0')
    .option('--batch <n>', 'most questions at once', '32')
    .option('--max-tokens <n>', 'longest answer', '64')
    .option('--timed-images <n>', 'pictures on which the time to the first token is measured, 0 for none', '20')
    .option('--object-layer <n>', 'layer whose attention finds the objects, 1-based')
    .option('--calibration <file>', "object layer from the file that 'hiprune calibrate' wrote for this model")
    .option('--dtype <dtype>', 'fp32, fp16, q8, q4, ... as the model folder offers')
    .option('--device <device>', 'cpu, webgpu, ...')
    .option('--forms <list>', `answers for other scorers: ${FORMS.join(', ')}, or none`, FORMS.join(','))
    .option('-o, --out <folder>', 'where runs go, each in a folder named by its settings', 'runs')
    .option('--json', 'print all numbers as JSON')
    .addHelpText(
      'after',
      `\nData sets:\n${sets.join('\n')}\n\nExamples:\n  hiprune eval --data jsonl=questions.jsonl --methods hiprune,random --keep 1/3,auto\n  hiprune eval --model path/or/hub-id --data pope=coco_pope_random.json --images val2014 --limit 100\n  hiprune eval report runs/* -o report`,
    )
    .addCommand(report)
    .action(runEval)
}

async function runEval(options: EvalOptions): Promise<void> {
  const variants = parseVariants(options.methods)
  const budgets = parseBudgets(options.keep)
  const cells = cellsOf(variants, budgets)
  const limit = options.limit === undefined ? undefined : positiveInteger('--limit', options.limit)
  const seed = finiteNumber('--seed', options.seed)
  const batch = positiveInteger('--batch', options.batch)
  const maxTokens = positiveInteger('--max-tokens', options.maxTokens)
  const timedImages = options.timedImages === '0' ? 0 : positiveInteger('--timed-images', options.timedImages)
  const forms = formsOf(options.forms)
  const loading = loadingOf(options)
  if (!options.data) throw new ArgumentError('--data', undefined, 'set=file, e.g. jsonl=questions.jsonl (see --help)')
  const loaded = await loadSets(options.data, options.images)
  const images = planImages(
    loaded.map(({ set }) => set),
    limit,
  )

  const modelId = options.model === 'demo' ? demoModel : options.model
  const engine = await openEngine(modelId, variants, { seed, batch, max_new_tokens: maxTokens }, loading)
  const config: RunConfig = {
    version: 1,
    model: {
      name: path.basename(path.resolve(modelId)),
      files: engine.fingerprint,
      objectLayer: engine.encoder.layers.object,
      deepLayer: engine.encoder.layers.deep,
    },
    data: loaded.map(({ set, files }) => ({ set: set.name, files })),
    images: images.length,
    limit: limit ?? null,
    methods: variants.map(({ label, method, options, ...layers }) =>
      JSON.stringify({ label, method, ...options, ...layers }),
    ),
    keep: budgets,
    seed,
    maxTokens,
    batch,
    timedImages: Math.min(timedImages, images.length),
    dtype: options.dtype ?? 'default',
    device: options.device ?? 'default',
    versions: versions(),
  }
  const run = await RunFolder.open(options.out, config, images)
  try {
    await writeWhole(run.file('machine.json'), `${JSON.stringify(machine(), null, 2)}\n`)
    await evaluateAll(engine, run, images, cells, config.timedImages)
    const summaries = summarize(images, run.records, cells, seed)
    await run.finish(config, images, summaries, forms)
    if (options.json) printJson({ folder: run.folder, config, summaries })
    else print(`${summaries.filter(isFirstRule).map(summaryTable).join('\n\n')}\n\nrun: ${run.folder}`)
  } finally {
    await run.close()
    await engine.dispose()
  }
}

/** Evaluates what the journal does not have yet, and stops cleanly between two pictures when asked to. */
async function evaluateAll(
  engine: Engine,
  run: RunFolder,
  images: readonly PlannedImage[],
  cells: readonly Cell[],
  timedImages: number,
): Promise<void> {
  const before = run.records.length
  if (before > 0) note(`going on after ${before} of ${images.length} images`)
  let stopped: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals) => void (stopped = signal)
  for (const signal of SIGNALS) process.once(signal, stop)
  const start = performance.now()
  let told = start
  try {
    for (let i = before; i < images.length; i++) {
      const planned = images[i] as PlannedImage
      const isTimed =
        Math.floor((i * timedImages) / images.length) < Math.floor(((i + 1) * timedImages) / images.length)
      const image = await readPicture(planned)
      await run.add(await evaluateImage(engine, image, i, planned, cells, isTimed))
      const done = i + 1 - before
      const isDue = done === 1 || performance.now() - told > TELL_EVERY_MS || i + 1 === images.length
      if (isDue) {
        const left = ((performance.now() - start) / done) * (images.length - i - 1)
        note(`${i + 1} of ${images.length} images, ${cells.length + 1} answers a question, ${duration(left)} left`)
        told = performance.now()
      }
      if (stopped)
        throw new Error(`stopped by ${stopped} after ${i + 1} of ${images.length} images; the same command goes on`)
    }
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, stop)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const TELL_EVERY_MS = 15_000

async function readPicture({ source, root, key }: PlannedImage): Promise<RawImage> {
  if ('path' in source) return await readImage(path.join(root, source.path))
  return await decodeImage(Buffer.from(source.base64, 'base64'), key)
}

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 90) return `${seconds} s`
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}

function isFirstRule({ set, rule }: SetSummary): boolean {
  return Object.keys(dataSets[set].rules)[0] === rule
}

function formsOf(text: string): Form[] {
  if (text === 'none') return []
  return text.split(',').map((form) => {
    if (!(FORMS as readonly string[]).includes(form))
      throw new ArgumentError('--forms', form, `${FORMS.join(', ')}, none`)
    return form as Form
  })
}

function loadingOf({ objectLayer, calibration, dtype, device }: EvalOptions): LoadPrunedOptions {
  return {
    ...(objectLayer !== undefined && { objectLayer: positiveInteger('--object-layer', objectLayer) }),
    ...(calibration !== undefined && { calibration }),
    ...(dtype !== undefined && { dtype }),
    ...(device !== undefined && { device }),
  } as LoadPrunedOptions
}

/** What the numbers may depend on beside settings and data. */
function versions(): Record<string, string> {
  const { hiprune, onnxruntime } = packageVersions()
  return { hiprune, 'transformers.js': env.version, 'onnxruntime-node': onnxruntime }
}

/** What only times depend on. */
function machine(): object {
  return {
    node: process.version,
    platform: `${os.platform()} ${os.arch()}`,
    cpu: `${os.cpus().length} x ${cpuModel()}`,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  }
}
