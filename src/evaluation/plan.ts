import type { ObjectMask } from '../analysis/index.js'
import type { DataSet, DataSetName } from './datasets/index.js'
import type { Example, ImageSource } from './datasets/example.js'

/** A data set with the folder that its pictures lie in. */
export interface PlacedSet extends DataSet {
  /** Sets with the same folder share pictures. */
  readonly root: string
}

/** A picture with all questions about it, of all sets. */
export interface PlannedImage {
  readonly key: string
  readonly root: string
  readonly source: ImageSource
  readonly asks: readonly PlannedAsk[]
}

export interface PlannedAsk {
  readonly set: DataSetName
  readonly example: Example
  readonly maskOf?: (example: Example) => ObjectMask
}

/**
 * All pictures of the sets, each once, with their questions; in the order of the files.
 *
 * @param limit Most pictures of each set, spread evenly over its file; questions that count together stay together.
 */
export function planImages(sets: readonly PlacedSet[], limit = Infinity): PlannedImage[] {
  const images = new Map<string, { image: Omit<PlannedImage, 'asks'>; asks: PlannedAsk[] }>()
  for (const { name, root, examples, maskOf } of sets) {
    const wanted = evenly([...new Set(examples.map(({ imageKey }) => imageKey))], limit)
    const isWanted = new Set(wanted)
    for (const example of examples) {
      if (!isWanted.has(example.imageKey)) continue
      const key = `${root}\n${example.imageKey}`
      const image = { key: example.imageKey, root, source: example.image }
      const planned = images.get(key) ?? { image, asks: [] }
      images.set(key, planned)
      planned.asks.push({ set: name, example, ...(maskOf && { maskOf }) })
    }
  }
  return [...images.values()].map(({ image, asks }) => ({ ...image, asks }))
}

/** `count` items spread evenly, in their order. */
export function evenly<T>(items: readonly T[], count: number): T[] {
  if (count >= items.length) return [...items]
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)] as T)
}
