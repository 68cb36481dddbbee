import { TokenRole, type TokenSelection } from './types.js'

/** Selection of every index whose mark is not 0. */
export function selectionOfMarks(marks: Uint8Array, keep: number, roles: boolean): TokenSelection {
  const kept = new Uint32Array(keep)
  const keptRoles = new Uint8Array(keep)
  let count = 0
  for (let i = 0; i < marks.length; i++) {
    const mark = marks[i] as number
    if (mark === 0) continue
    kept[count] = i
    keptRoles[count++] = roles ? mark : TokenRole.none
  }
  return { kept, roles: keptRoles }
}

/** Selection of the given indices, in any order, without roles. */
export function selectionOfIndices(indices: ArrayLike<number>): TokenSelection {
  const kept = new Uint32Array(indices).sort()
  return { kept, roles: new Uint8Array(kept.length) }
}

/** Selection of every token, without roles. */
export function selectionOfAll(numTokens: number): TokenSelection {
  return selectionOfIndices(Uint32Array.from({ length: numTokens }, (_, i) => i))
}
