import { ArgumentError } from '../errors.js'
import { createPruner, methodInfo, parseBudget, prunerNames, type PrunerName } from '../pruning/index.js'

/** A selection method, or 'downscale': the image is made smaller instead (pooled, where the encoder's resolution is fixed). */
export type EvaluatedMethod = Exclude<PrunerName, 'none'> | 'downscale'

/** One way to prune: a method with its options. */
export interface Variant {
  /** Its name in tables and files, unique in a run: `hiprune`, `hiprune alpha=0`, or what `label=` says. */
  readonly label: string
  readonly method: EvaluatedMethod
  /** Options of the method, as `createPruner` takes them. */
  readonly options: Readonly<Record<string, string | number>>
  /** 1-based layers, where they are not the model's own. */
  readonly objectLayer?: number
  readonly deepLayer?: number
  /** Whose attention counts: that of all queries (default), or of the CLS token alone (the paper's ablation). */
  readonly attention?: 'received' | 'cls'
}

/** A variant at a budget: one column of answers. */
export interface Cell {
  readonly key: string
  readonly variant: Variant
  /** As typed: '1/3', '192', 'auto'. */
  readonly budget: string
}

/** Key of the unpruned model's answers. */
export const ALL_TOKENS = 'all tokens'

const LAYERS = ['objectLayer', 'deepLayer', 'attention']
const HIPRUNE = ['alpha', 'shape', 'borders', ...LAYERS]

/** What may stand behind a method's name. createPruner ignores what it does not know, a table of results must not. */
const OPTIONS: Readonly<Record<EvaluatedMethod, readonly string[]>> = {
  hiprune: HIPRUNE,
  'hiprune++': [...HIPRUNE, 'beta', 'textTokens', 'textBudget', 'sign'],
  'cls-attention': ['deepLayer'],
  visionzip: ['contextualRatio', 'order', 'deepLayer'],
  vispruner: ['importantRatio', 'deepLayer'],
  divprune: [],
  scope: ['deepLayer'],
  cdpruner: ['sign'],
  lrcp: ['rank'],
  pool: [],
  random: ['seed'],
  grid: [],
  downscale: [],
}

/** Every method that can be evaluated; all tokens are measured in any case. */
export const evaluatedMethods = Object.keys(OPTIONS) as readonly EvaluatedMethod[]

/**
 * Reads a list of methods with options: `hiprune,hiprune:alpha=0,hiprune:objectLayer=3:label=early`. `all` stands for every
 * method with its defaults.
 *
 * @throws ArgumentError for an unknown method or option, a refused value, and two variants of one name.
 */
export function parseVariants(text: string): Variant[] {
  const parts = text.split(',').map((part) => part.trim())
  const variants = parts.flatMap((part) =>
    part === 'all'
      ? prunerNames.filter((name) => name !== 'none').map((method) => parseVariant(method))
      : [parseVariant(part)],
  )
  const labels = new Set<string>()
  for (const { label } of variants) {
    if (labels.has(label))
      throw new ArgumentError('--methods', label, 'each method with the same options once; label=NAME tells them apart')
    labels.add(label)
  }
  return variants
}

function parseVariant(text: string): Variant {
  const [name = '', ...pairs] = text.split(':')
  const method = name as EvaluatedMethod
  if (!Object.hasOwn(OPTIONS, name)) throw new ArgumentError('--methods', name, ['all', ...evaluatedMethods].join(', '))
  const given = new Map(pairs.map((pair) => parsePair(method, pair)))
  const ofMethod = [...given].filter(([key]) => key !== 'label' && !LAYERS.includes(key))
  const options = Object.fromEntries(ofMethod)
  if (method !== 'downscale') createPruner(method, options)
  const label = String(given.get('label') ?? [name, ...pairs].join(' '))
  if (label === ALL_TOKENS || label.includes('@'))
    throw new ArgumentError('label', label, 'a name of its own without @')
  return { label, method, options, ...layersOf(given) }
}

function parsePair(method: EvaluatedMethod, pair: string): [string, string | number] {
  const at = pair.indexOf('=')
  const key = pair.slice(0, Math.max(0, at))
  const allowed = [...OPTIONS[method], 'label']
  if (at < 1 || at === pair.length - 1 || !allowed.includes(key))
    throw new ArgumentError(`--methods ${method}`, pair, `${allowed.join('=, ')}= and a value`)
  const value = pair.slice(at + 1)
  return [key, key !== 'label' && /^-?\d*\.?\d+$/.test(value) ? Number(value) : value]
}

function layersOf(given: ReadonlyMap<string, string | number>): Partial<Variant> {
  const layers = Object.fromEntries(
    ['objectLayer', 'deepLayer'].filter((name) => given.has(name)).map((name) => [name, given.get(name)]),
  )
  for (const [name, layer] of Object.entries(layers))
    if (!Number.isInteger(layer) || Number(layer) < 1) throw new ArgumentError(name, layer, 'a layer, 1-based')
  const attention = given.get('attention')
  if (attention === undefined) return layers
  if (attention !== 'received' && attention !== 'cls') throw new ArgumentError('attention', attention, 'received, cls')
  return { ...layers, attention }
}

/** Reads a list of budgets: `1/3,2/9,192,auto`. @throws ArgumentError for one that is refused, or named twice. */
export function parseBudgets(text: string): string[] {
  const budgets = text.split(',').map((part) => part.trim())
  for (const budget of budgets) parseBudget(budget)
  if (new Set(budgets).size < budgets.length) throw new ArgumentError('--keep', text, 'each budget once')
  return budgets
}

/** Every variant at every budget. */
export function cellsOf(variants: readonly Variant[], budgets: readonly string[]): Cell[] {
  return variants.flatMap((variant) =>
    budgets.map((budget) => ({ key: `${variant.label}@${budget}`, variant, budget })),
  )
}

/** Whether a variant selects anew for each question about an image. */
export function readsQuestion({ method }: Variant): boolean {
  return method !== 'downscale' && methodInfo[method].promptAware
}
