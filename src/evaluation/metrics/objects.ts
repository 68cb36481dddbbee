import { meanRule } from './rule.js'

/** How kept tokens lie on objects, written down as the "answer" to a picture with a mask. */
export interface ObjectOverlap {
  /** Kept tokens on objects. */
  readonly hit: number
  readonly kept: number
  /** Object tokens. */
  readonly objects: number
}

export function overlapText({ hit, kept, objects }: ObjectOverlap): string {
  return `${hit} of ${kept} kept tokens on ${objects} object tokens`
}

/** IoU of kept tokens and object tokens (SPEC 6 has the same of the most attended ones). */
export const objectIou = meanRule('IoU of kept tokens and object tokens; no question is asked', (_example, answer) => {
  const [hit, kept, objects] = (answer.match(/\d+/g) ?? []).map(Number) as [number, number, number]
  return { read: answer, score: kept + objects - hit === 0 ? 1 : hit / (kept + objects - hit) }
})
