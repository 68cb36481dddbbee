import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { loadPruned, prunerNames, type AskOptions, type LoadPrunedOptions, type PrunedModel } from '../index.js'
import { finiteNumber } from './numbers.js'
import { loadingProgress } from './progress.js'

/** Options of every command that loads a model. */
export interface ModelOptions {
  model: string
  keep: string
  split?: string
  tiles?: string
  method: string
  dtype?: string
  device?: string
  alpha?: string
  objectLayer?: string
  calibration?: string
  shape?: string
  borders?: string
  seed?: string
}

/** Folder of the model that ships with the package. */
export const demoModel = fileURLToPath(new URL('../../demo-vlm', import.meta.url))

export function modelOptions(command: Command): Command {
  return command
    .option('--model <model>', 'demo, a folder in the Transformers.js layout, or a hub id', 'demo')
    .option('--keep <budget>', "visual tokens to keep of each image: 192, 1/3, 33% or 'auto'", '1/3')
    .option('--split <how>', 'how tiles, frames and images divide the budget: even, complexity, shared')
    .option('--tiles <mode>', 'how LLaVA-OneVision cuts images: single, anyres')
    .option('--method <name>', `selection method: ${[...prunerNames, DOWNSCALE].join(', ')}`, 'hiprune')
    .option('--alpha <0-1>', 'share of the budget for anchors and buffers')
    .option('--object-layer <n>', 'layer whose attention finds the objects, 1-based')
    .option('--calibration <file>', "object layer from the file that 'hiprune calibrate' wrote for this model")
    .option('--shape <shape>', 'buffers of an anchor: cross, square, diagonal, row, column, none')
    .option('--borders <rule>', 'grid, or clamp as in the public code of the paper')
    .option('--seed <n>', 'seed of random methods')
    .option('--dtype <dtype>', 'fp32, fp16, q8, q4, ... as the model folder offers')
    .option('--device <device>', 'cpu, webgpu, ...')
}

/** The pruning and loading options that were given; the library fills in the defaults and refuses bad values. */
export function pruningOf({
  keep,
  split,
  tiles,
  method,
  alpha,
  objectLayer,
  calibration,
  shape,
  borders,
  seed,
  dtype,
  device,
}: ModelOptions) {
  const given = {
    ...(split !== undefined && { split }),
    ...(tiles !== undefined && { tiles }),
    ...(alpha !== undefined && { alpha: finiteNumber('--alpha', alpha) }),
    ...(objectLayer !== undefined && { objectLayer: finiteNumber('--object-layer', objectLayer) }),
    ...(calibration !== undefined && { calibration }),
    ...(seed !== undefined && { seed: finiteNumber('--seed', seed) }),
    ...(shape !== undefined && { shape }),
    ...(borders !== undefined && { borders }),
    ...(dtype !== undefined && { dtype }),
    ...(device !== undefined && { device }),
  }
  // Making the image smaller happens before the model sees it: see methodOf.
  return { keep, method: method === DOWNSCALE ? 'none' : method, ...given } as LoadPrunedOptions
}

const DOWNSCALE = 'downscale'

/** The method of one question: 'downscale' is no selection of the model's, but a way to ask it. */
export function methodOf({ method, keep }: ModelOptions): Pick<AskOptions, 'method' | 'keep'> {
  return method === DOWNSCALE ? { method, keep } : {}
}

export async function loadModel({ model }: { model: string }, pruning: LoadPrunedOptions): Promise<PrunedModel> {
  const progress = loadingProgress()
  try {
    return await loadPruned(model === 'demo' ? demoModel : model, {
      ...pruning,
      ...(progress && { progress_callback: progress.update }),
    })
  } finally {
    progress?.stop()
  }
}
