import { ArgumentError } from '../errors.js'
import { grid } from './grid.js'
import { hiprune, type HiPruneOptions } from './hiprune.js'
import { none } from './none.js'
import { random, type RandomOptions } from './random.js'
import type { Pruner } from './types.js'

/** Options of every method by its name. */
export interface PrunerOptions {
  hiprune: HiPruneOptions
  random: RandomOptions
  grid: object
  none: object
}

export type PrunerName = keyof PrunerOptions

const factories: { readonly [Name in PrunerName]: (options?: PrunerOptions[Name]) => Pruner } = {
  hiprune,
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
