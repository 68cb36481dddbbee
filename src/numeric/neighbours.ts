import { rowOf, type Arena, type Rows } from './arena.js'
import { visitPairs } from './similarities.js'

/** Neighbours listed of each row: enough that few lists run out, few enough that making them costs less than the products. */
function listLength(numRows: number): number {
  return Math.min(128, Math.max(16, Math.ceil(numRows / 32)))
}

export interface Neighbours {
  /** Largest product of row `i` with another row of the group; -Infinity if the group has no other. */
  largest(i: number, group: number): number
}

/** Floats of an arena that {@link neighbours} takes beside those of {@link visitPairs}. */
export const floatsOfNeighbours = (numRows: number): number => numRows

/**
 * Finds the most similar row among a group that changes from call to call, exactly and in O(N) memory: each row lists its
 * nearest others once, and lists them anew only when none of them is in the group.
 *
 * @param groups `[N]` the group of each row, read at every call. Rows of group 0 have left for good.
 */
export function neighbours(arena: Arena, rows: Rows, groups: Uint8Array): Neighbours {
  const size = rows.numRows
  const length = listLength(size)
  const ids = new Int32Array(size * length).fill(-1)
  const products = new Float32Array(size * length).fill(-Infinity)
  const all = arena.floats(size)
  visitPairs(arena, rows, (i, from, block) => {
    for (let k = from === i ? 1 : 0; k < block.length; k++) {
      const product = block[k] as number
      if (product > (products[(i + 1) * length - 1] as number)) insert(i, from + k, product)
      if (product > (products[(from + k + 1) * length - 1] as number)) insert(from + k, i, product)
    }
  })
  return { largest }

  function largest(i: number, group: number): number {
    for (let at = i * length; at < (i + 1) * length; at++) {
      const id = ids[at] as number
      if (id < 0) return -Infinity
      if (groups[id] === group) return products[at] as number
    }
    listAnew(i)
    let best = -Infinity
    for (let j = 0; j < size; j++) {
      if (groups[j] === group && j !== i && (all[j] as number) > best) best = all[j] as number
    }
    return best
  }

  function listAnew(i: number): void {
    arena.dots(rowOf(rows, i), rows, 0, size, all)
    ids.fill(-1, i * length, (i + 1) * length)
    products.fill(-Infinity, i * length, (i + 1) * length)
    for (let j = 0; j < size; j++) {
      const product = all[j] as number
      if (j !== i && groups[j] !== 0 && product > (products[(i + 1) * length - 1] as number)) insert(i, j, product)
    }
  }

  function insert(i: number, id: number, product: number): void {
    let at = (i + 1) * length - 1
    while (at > i * length && (products[at - 1] as number) < product) {
      products[at] = products[at - 1] as number
      ids[at] = ids[at - 1] as number
      at--
    }
    products[at] = product
    ids[at] = id
  }
}
