import { ModelError } from '../errors.js'
import { buildGraph, type Graph } from './graph.js'
import { readModel, type ValueInfo } from './model-reader.js'
import { findAddedTokens, type AddedTokens } from './prefix.js'
import { inferShapes, type Shapes } from './shapes.js'
import { findAttentionSites, type AttentionSite } from './sites.js'
import { findTokenPath, type TokenPath } from './token-path.js'

/** An encoder file, understood: what `inspectEncoder` reports and `tapAttention` builds on. */
export interface Encoder {
  readonly graph: Graph
  readonly shapes: Shapes
  /** The output that holds the visual features. */
  readonly features: ValueInfo
  /** Self-attention whose result reaches the features, in data-flow order: layer l is `layers[l - 1]`. */
  readonly layers: readonly AttentionSite[]
  /** Pooling heads, cross attention, and layers behind the features. */
  readonly others: readonly AttentionSite[]
  readonly added: AddedTokens
}

/** Reads and understands a vision encoder. @throws {ModelError} when the bytes are not a usable ONNX model. */
export function readEncoder(bytes: Uint8Array): Encoder {
  const graph = buildGraph(readModel(bytes))
  const shapes = inferShapes(graph)
  const sites = findAttentionSites(graph, shapes)
  const features = chooseFeatures(graph, sites)
  const used = ancestors(graph, features.name)
  const isLayer = (site: AttentionSite): boolean => site.role === 'self' && used.has(site.output)
  const layers = sites.filter(isLayer)
  const added = layers[0] ? findAddedTokens(graph, shapes, layers[0]) : { prefix: 0, suffix: 0 }
  return { graph, shapes, features, layers, others: sites.filter((site) => !isLayer(site)), added }
}

/** The way from a layer's attention to the features, or undefined when tokens cannot be followed. */
export function pathToFeatures(encoder: Encoder, site: AttentionSite): TokenPath | undefined {
  return findTokenPath(encoder.graph, encoder.shapes, site, encoder.features.name)
}

/** Outputs that are looked at when none has a known name; each costs a walk through the graph. */
const maxOutputs = 16

/** Known names first; otherwise the output that most attention flows into. */
function chooseFeatures(graph: Graph, sites: readonly AttentionSite[]): ValueInfo {
  for (const name of ['image_features', 'last_hidden_state']) {
    const output = graph.model.outputs.find((candidate) => candidate.name === name)
    if (output) return output
  }
  const scored = graph.model.outputs.slice(0, maxOutputs).map((output) => {
    const used = ancestors(graph, output.name)
    return { output, count: sites.filter((site) => used.has(site.output)).length }
  })
  const best = scored.reduce<(typeof scored)[number] | undefined>(
    (a, b) => (a && a.count >= b.count ? a : b),
    undefined,
  )
  if (!best) throw new ModelError('not a usable ONNX model: its graph has no outputs')
  return best.output
}

/** All values that `name` is computed from. */
export function ancestors(graph: Graph, name: string): Set<string> {
  const seen = new Set([name])
  const open = [name]
  for (let current = open.pop(); current !== undefined; current = open.pop()) {
    for (const input of graph.producers.get(current)?.inputs ?? []) {
      if (seen.has(input)) continue
      seen.add(input)
      open.push(input)
    }
  }
  return seen
}
