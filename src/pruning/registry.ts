import { ArgumentError } from '../errors.js'
import { cdpruner, type CDPrunerOptions } from './cdpruner.js'
import { clsAttention } from './cls-attention.js'
import { divprune } from './divprune.js'
import { grid } from './grid.js'
import { hiprune, type HiPruneOptions } from './hiprune.js'
import { hiprunePlusPlus, type HiPrunePlusPlusOptions } from './hiprune-plus-plus.js'
import { lrcp, type LrcpOptions } from './lrcp.js'
import { none } from './none.js'
import { pool } from './pool.js'
import { random, type RandomOptions } from './random.js'
import { scope } from './scope.js'
import type { Pruner } from './types.js'
import { visionzip, type VisionZipOptions } from './visionzip.js'
import { vispruner, type VisPrunerOptions } from './vispruner.js'

/** Options of every method by its name. */
export interface PrunerOptions {
  hiprune: HiPruneOptions
  'hiprune++': HiPrunePlusPlusOptions
  'cls-attention': object
  visionzip: VisionZipOptions
  vispruner: VisPrunerOptions
  divprune: object
  scope: object
  cdpruner: CDPrunerOptions
  lrcp: LrcpOptions
  pool: object
  random: RandomOptions
  grid: object
  none: object
}

export type PrunerName = keyof PrunerOptions

const factories: { readonly [Name in PrunerName]: (options?: PrunerOptions[Name]) => Pruner } = {
  hiprune,
  'hiprune++': hiprunePlusPlus,
  'cls-attention': clsAttention,
  visionzip,
  vispruner,
  divprune,
  scope,
  cdpruner,
  lrcp,
  pool,
  random,
  grid,
  none,
}

/** All selection methods, in the order of the documentation. */
export const prunerNames = Object.keys(factories) as readonly PrunerName[]

/**
 * A selection method by name.
 *
 * @throws ArgumentError on an unknown name (the message lists the known ones) or a bad option.
 */
export function createPruner<Name extends PrunerName>(name: Name, options?: PrunerOptions[Name]): Pruner {
  if (!Object.hasOwn(factories, name)) throw new ArgumentError('method', name, prunerNames.join(', '))
  return factories[name](options)
}
