import { checkInput } from './input.js'
import { selectionOfAll } from './selection.js'
import type { Pruner } from './types.js'

/** Keeps every token whatever the budget: the unpruned model as an ordinary entry of the registry. */
export function none(): Pruner {
  return {
    name: 'none',
    needs: [],
    select(input, budget) {
      const { numTokens } = checkInput(input, budget, [])
      return selectionOfAll(numTokens)
    },
  }
}
