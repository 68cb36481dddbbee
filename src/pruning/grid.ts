import { checkInput } from './input.js'
import { selectionOfIndices } from './selection.js'
import type { PatchGrid, Pruner } from './types.js'

/**
 * Evenly spaced tokens: rows of the grid are thinned evenly and the tokens spread evenly over each kept row. A second
 * baseline, often stronger than random. Needs nothing. O(K).
 */
export function grid(): Pruner {
  return {
    name: 'grid',
    needs: [],
    select(input, budget) {
      const { keep } = checkInput(input, budget, [])
      return selectionOfIndices(evenlySpaced(input.grid, keep))
    },
  }
}

/** Exactly `keep` indices; `lines` rows are used so that vertical and horizontal spacing are about equal. */
function evenlySpaced({ rows, columns }: PatchGrid, keep: number): number[] {
  const least = Math.ceil(keep / columns)
  const lines = Math.min(rows, Math.max(least, Math.round(Math.sqrt((keep * rows) / columns))))
  const indices: number[] = []
  for (let line = 0; line < lines; line++) {
    const row = centre(line, lines, rows)
    // Splitting at floor(i * keep / lines) spreads the remainder over the rows.
    const inRow = Math.floor(((line + 1) * keep) / lines) - Math.floor((line * keep) / lines)
    for (let i = 0; i < inRow; i++) indices.push(row * columns + centre(i, inRow, columns))
  }
  return indices
}

/** Cell that holds the centre of part `i` when `length` cells are split into `parts` equal parts. */
function centre(i: number, parts: number, length: number): number {
  return Math.floor(((i + 0.5) * length) / parts)
}
