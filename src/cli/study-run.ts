import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Command } from 'commander'
import {
  measureImages,
  openEncoderFile,
  openModelEncoder,
  StudyTotals,
  type StudyEncoder,
  type StudyImage,
  type StudyTotalsState,
} from '../analysis/index.js'
import { ArgumentError } from '../index.js'
import { readImage } from '../node.js'
import { demoModel } from './model-options.js'
import { finiteNumber, positiveInteger } from './numbers.js'
import { sessionsOn } from './ort-session.js'
import { countProgress } from './count-progress.js'
import { listImages } from './study-images.js'
import { maskReader, type MaskOptions } from './study-masks.js'
import { readState, writeState } from './study-state.js'

/** Options that `study` and `calibrate` share. */
export interface StudyRunOptions extends MaskOptions {
  model?: string
  encoder?: string
  dtype?: string
  device?: string
  imageSize?: string
  mean?: string
  std?: string
  tapMemory: string
  seed: string
  restart?: boolean
}

export function studyRunOptions(command: Command): Command {
  return command
    .argument('<images...>', 'image files and folders of images')
    .option('--model <model>', 'demo, a folder in the Transformers.js layout, or a hub id (default: demo)')
    .option('--encoder <vision.onnx>', 'a bare encoder file instead of a model: any ViT')
    .option('--masks <folder>', 'object masks, one image file named as each image: grey values are labels')
    .option('--mask-background <labels>', 'grey values of --masks that are no object', '0')
    .option('--coco <instances.json>', "object masks from COCO's annotations: polygons and run lengths")
    .option('--dtype <dtype>', 'with --model: fp32, fp16, q8, q4, ... as the folder offers')
    .option('--device <device>', 'cpu, webgpu, ... (default: cpu)')
    .option('--image-size <n>', 'with --encoder: side of its input, where the file does not fix it')
    .option('--mean <r,g,b>', "with --encoder: per channel, of values 0 to 1 (default: its family's)")
    .option('--std <r,g,b>', "with --encoder: per channel (default: its family's)")
    .option('--tap-memory <MiB>', 'what attention maps may take; more layers than fit are run in chunks', '1024')
    .option('--seed <n>', 'seed of the bootstrap, of t-SNE and of what is dropped at random', '0')
    .option('--restart', 'measure all images again instead of going on where a stopped run was')
}

/** An encoder with everything that was measured with it. */
export interface StudyRun {
  readonly encoder: StudyEncoder
  readonly files: readonly string[]
  readonly images: readonly StudyImage[]
  readonly totals: StudyTotals
  readonly seed: number
  /** Wall-clock milliseconds of the images measured by this command, and how many these were. */
  readonly measuredMs: number
  readonly measured: number
}

/**
 * Measures all images, going on where a stopped command was.
 *
 * @param stateFile Where the state of a stopped command lies. It is written every few seconds and when the command is stopped.
 */
export async function runStudy(
  inputs: readonly string[],
  options: StudyRunOptions,
  stateFile: string,
): Promise<StudyRun> {
  const seed = finiteNumber('--seed', options.seed)
  const files = await listImages(inputs)
  const readMaskOf = await maskReader(options, files)
  const encoder = await openEncoder(options)
  const images = files.map((file) => ({
    name: file,
    load: () => readImage(file),
    ...(readMaskOf && { loadMask: () => readMaskOf(file) }),
  }))
  const totals = new StudyTotals(encoder.info.layers.length, seed)
  const { masks, maskBackground, coco } = options
  const settings = [1, encoder.sha256, encoder.preprocessing, seed, masks, maskBackground, coco]
  const saved = options.restart ? undefined : await readState<StudyTotalsState>(stateFile, settings, files)
  if (saved) totals.restore(saved)
  const before = totals.images
  const start = performance.now()
  await measureStoppable(encoder, images, totals, () => writeState(stateFile, settings, files, totals))
  return {
    encoder,
    files,
    images,
    totals,
    seed,
    measuredMs: performance.now() - start,
    measured: totals.images - before,
  }
}

/** Milliseconds between two writes of the state. */
const SAVE_EVERY_MS = 5000

/** Measures with a progress bar, saves from time to time, and saves once more when it is stopped by Ctrl-C or a signal. */
async function measureStoppable(
  encoder: StudyEncoder,
  images: readonly StudyImage[],
  totals: StudyTotals,
  save: () => Promise<void>,
): Promise<void> {
  const progress = countProgress('measuring images', totals.images, images.length)
  let saved = performance.now()
  let stopped: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals) => void (stopped = signal)
  for (const signal of SIGNALS) process.once(signal, stop)
  try {
    await measureImages(encoder, images, totals, async (done) => {
      progress?.update(done)
      const isDue = performance.now() - saved > SAVE_EVERY_MS
      if (isDue || stopped || done === images.length) await save()
      if (isDue) saved = performance.now()
      if (stopped) throw new StoppedError(stopped, done, images.length)
    })
  } catch (error) {
    // What was measured before a bad image is not lost.
    if (!(error instanceof StoppedError) && totals.images > 0) await save()
    throw error
  } finally {
    progress?.stop()
    for (const signal of SIGNALS) process.removeListener(signal, stop)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** The user stopped the command. */
class StoppedError extends Error {
  constructor(signal: string, done: number, total: number) {
    super(`stopped by ${signal} after ${done} of ${total} images; the same command goes on from there`)
  }
}

async function openEncoder(options: StudyRunOptions): Promise<StudyEncoder> {
  const { model, encoder, dtype, device } = options
  if (model !== undefined && encoder !== undefined)
    throw new ArgumentError('--encoder', encoder, 'either --model or --encoder')
  const tapMemory = positiveInteger('--tap-memory', options.tapMemory) * 2 ** 20
  const open = { createSession: sessionsOn(device), tapMemory }
  const pixels = pixelOptions(options)
  if (encoder === undefined) {
    const given = Object.keys(pixels)[0]
    if (given) throw new ArgumentError(given, 'a value', 'nothing with --model, which brings its own image processor')
    return await openModelEncoder(model === undefined || model === 'demo' ? demoModel : model, { ...open, dtype })
  }
  if (dtype !== undefined) throw new ArgumentError('--dtype', dtype, 'nothing with --encoder, whose file has its own')
  const bytes = await readFile(encoder).catch(() => {
    throw new ArgumentError('--encoder', encoder, 'an ONNX file that exists')
  })
  const file = { bytes: new Uint8Array(bytes), folder: path.dirname(path.resolve(encoder)) }
  return await openEncoderFile(file, path.basename(encoder), { ...open, ...pixels })
}

function pixelOptions({ imageSize, mean, std }: StudyRunOptions) {
  return {
    ...(imageSize !== undefined && { imageSize: positiveInteger('--image-size', imageSize) }),
    ...(mean !== undefined && { mean: threeNumbers('--mean', mean) }),
    ...(std !== undefined && { std: threeNumbers('--std', std) }),
  }
}

function threeNumbers(option: string, text: string): number[] {
  const values = text.split(',').map((part) => finiteNumber(option, part))
  if (values.length !== 3) throw new ArgumentError(option, text, 'three numbers with commas, e.g. 0.5,0.5,0.5')
  return values
}
