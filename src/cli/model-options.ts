import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { ArgumentError, loadPruned, prunerNames, type LoadPrunedOptions, type PrunedModel } from '../index.js'
import { loadingProgress } from './progress.js'

/** Options of every command that loads a model. */
export interface ModelOptions {
  model: string
  keep: string
  method: string
  dtype?: string
  device?: string
  alpha?: string
  objectLayer?: string
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
    .option('--method <name>', `selection method: ${prunerNames.join(', ')}`, 'hiprune')
    .option('--alpha <0-1>', 'share of the budget for anchors and buffers')
    .option('--object-layer <n>', 'layer whose attention finds the objects, 1-based')
    .option('--shape <shape>', 'buffers of an anchor: cross, square, diagonal, row, column, none')
    .option('--borders <rule>', 'grid, or clamp as in the public code of the paper')
    .option('--seed <n>', 'seed of random methods')
    .option('--dtype <dtype>', 'fp32, fp16, q8, q4, ... as the model folder offers')
    .option('--device <device>', 'cpu, webgpu, ...')
}

/** The pruning and loading options that were given; the library fills in the defaults and refuses bad values. */
export function pruningOf(options: ModelOptions): LoadPrunedOptions {
  const numbers = { alpha: options.alpha, seed: options.seed, objectLayer: options.objectLayer }
  const words = { shape: options.shape, borders: options.borders, dtype: options.dtype, device: options.device }
  const given = Object.entries({ ...words, ...mapNumbers(numbers) }).filter(([, value]) => value !== undefined)
  return { keep: options.keep, method: options.method, ...Object.fromEntries(given) } as LoadPrunedOptions
}

export async function loadModel(options: ModelOptions, pruning: LoadPrunedOptions): Promise<PrunedModel> {
  const progress = loadingProgress()
  try {
    return await loadPruned(options.model === 'demo' ? demoModel : options.model, {
      ...pruning,
      ...(progress && { progress_callback: progress.update }),
    })
  } finally {
    progress?.stop()
  }
}

function mapNumbers(texts: Record<string, string | undefined>): Record<string, number | undefined> {
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => {
      if (text !== undefined && (text.trim() === '' || !Number.isFinite(Number(text)))) {
        throw new ArgumentError(name, text, 'a number')
      }
      return [name, text === undefined ? undefined : Number(text)]
    }),
  )
}
