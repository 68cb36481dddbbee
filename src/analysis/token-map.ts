import { topSet } from '../numeric/top-k.js'
import { pairwiseDistances } from './dispersion.js'
import type { EncodedLayers } from './encoder.js'
import { topCount } from './ranks.js'
import { tsne } from './tsne.js'

/** SPEC 6. */
const PERPLEXITY = 30
const MARKED_SHARE = 0.5

/** Exact t-SNE keeps N x N numbers: beyond this many tokens every second, third, ... one is drawn. */
const MAX_TOKENS = 1200

/** The tokens of one image as points, and which of them lead in each layer. */
export interface TokenMap {
  /** Tokens that are drawn, all of them where they are few enough. */
  readonly tokens: Uint32Array
  /** Row-major `[tokens, 2]` */
  readonly points: Float64Array
  /** Per layer 1 for each drawn token among the top 50 %. */
  readonly isTop: readonly Uint8Array[]
}

export function tokenMap({ features, numTokens, received }: EncodedLayers, seed: number): TokenMap {
  const step = Math.ceil(numTokens / MAX_TOKENS)
  const tokens = Uint32Array.from({ length: Math.ceil(numTokens / step) }, (_, i) => i * step)
  const width = features.length / numTokens
  const rows = new Float32Array(tokens.length * width)
  tokens.forEach((token, i) => rows.set(features.subarray(token * width, (token + 1) * width), i * width))
  const squared = pairwiseDistances(rows, tokens.length).map((distance) => distance * distance)
  const points = tsne(squared, tokens.length, { perplexity: PERPLEXITY, seed })
  return { tokens, points, isTop: received.map((scores) => flagsOf(scores, tokens)) }
}

function flagsOf(scores: Float32Array, tokens: Uint32Array): Uint8Array {
  const all = new Uint8Array(scores.length)
  for (const token of topSet(scores, topCount(scores.length, MARKED_SHARE))) all[token] = 1
  return Uint8Array.from(tokens, (token) => all[token] as number)
}
