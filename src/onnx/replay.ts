import { ModelError } from '../errors.js'
import type { Encoder } from './encoder.js'
import type { GraphPatch } from './graph-patch.js'
import { keepsChannelsLast, tokenEffects } from './token-effects.js'
import type { TokenPath, TokenStep } from './token-path.js'
import { leadingDims, reduce, slice, squeeze, toEnd } from './verbs.js'

/** A score per token, shaped like the features it runs beside: with one channel, or with the features' channels. */
interface Running {
  value: string
  oneChannel: boolean
}

/**
 * Takes a score per key [batch, keys] through everything that happens to the tokens on their way to the features:
 * CLS dropped, windows put back in order, patches merged (a token's score is the mean over its patches). The graph's own
 * structural nodes are repeated on the scores, so no layout has to be guessed. Linear layers end a merge: the scores in
 * the channels are averaged there.
 *
 * @returns the scores in the shape of the features without their channels, e.g. [batch, tokens]
 */
export function replayTokens(encoder: Encoder, patch: GraphPatch, scores: string, path: TokenPath): string {
  const shape = patch.node('Concat', [leadingDims(patch, path.start), patch.integers([1])], { axis: 0 })
  let running: Running = { value: patch.node('Reshape', [scores, shape]), oneChannel: true }
  for (const step of path.steps) running = replayStep(encoder, patch, running, step)
  const tokens = running.oneChannel
    ? squeeze(patch, running.value, [-1])
    : reduce(patch, 'Mean', running.value, [-1], false)
  return dropRest(encoder, patch, tokens, path)
}

function replayStep(encoder: Encoder, patch: GraphPatch, running: Running, step: TokenStep): Running {
  if (step.kind === 'tokenwise') return running
  if (step.kind === 'linear') {
    return running.oneChannel ? running : { value: reduce(patch, 'Mean', running.value, [-1], true), oneChannel: true }
  }
  const oneChannel = running.oneChannel && keepsChannelsLast(encoder, step.node)
  const source = oneChannel || !running.oneChannel ? running.value : spread(patch, running.value, step.input)
  const rest = step.node.inputs.slice(1).map((name) => ownConstant(encoder, patch, name))
  return { value: patch.clone(step.node, [source, ...rest]), oneChannel }
}

/** A copy of a constant: the original may stand behind the place where the new nodes go. */
function ownConstant(encoder: Encoder, patch: GraphPatch, name: string): string {
  const maker = encoder.graph.producers.get(name)
  return maker?.opType === 'Constant' ? patch.clone(maker, []) : name
}

/** Every channel of a token gets the token's score. */
function spread(patch: GraphPatch, value: string, like: string): string {
  return patch.node('Expand', [value, patch.node('Shape', [like])])
}

/** Towers return CLS and registers with the features; their scores are dropped here. */
function dropRest(encoder: Encoder, patch: GraphPatch, tokens: string, path: TokenPath): string {
  const { dropped } = tokenEffects(encoder, path)
  const prefix = encoder.added.prefix ?? dropped
  if (dropped === prefix) return tokens
  if (dropped !== 0) throw new ModelError(`the graph drops ${dropped} of ${prefix} added tokens; expected all or none`)
  return slice(patch, tokens, -1, prefix, toEnd)
}
