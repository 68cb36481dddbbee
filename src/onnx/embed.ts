import { ArgumentError, ModelError } from '../errors.js'
import { readEncoder, type Encoder } from './encoder.js'
import { prepareGather, splitImages, type GatherPlace } from './gather-place.js'
import { dataTypes, GraphPatch } from './graph-patch.js'
import { gridSource, perImage, type GridSource } from './grid-source.js'
import { describeEncoder, type EncoderInfo } from './inspect.js'
import { bufferShapes, neighbourTable, type BufferShape } from './neighbours.js'
import { receivedOverKeys } from './received.js'
import { relevanceNodes, selectionNodes, type SelectionSettings } from './selection-nodes.js'
import { checkLayers, layerSite, toVisualTokens } from './tap.js'

/** What `embedPruning` builds into a graph. */
export interface EmbedOptions {
  /** `hiprune` (default) or `hiprune++`, which also reads an embedding of the question. */
  readonly method?: 'hiprune' | 'hiprune++'
  /** 1-based object layer; default: `inspectEncoder`'s suggestion. */
  readonly objectLayer?: number
  /** 1-based deep layer; default: the last one. */
  readonly deepLayer?: number
  /** Share of the budget given to anchors and their buffers, 0 to 1. Default 0.1. */
  readonly alpha?: number
  /** Which neighbours of an anchor are kept with it. Default `cross`. */
  readonly shape?: BufferShape
  /** Default `grid`; `clamp` reproduces the paper's public code and needs a grid that the file fixes. */
  readonly borders?: 'grid' | 'clamp'
  /** hiprune++: share of the budget given to text tokens, 0 to 1. Default 0.1. */
  readonly beta?: number
  /** hiprune++: 1 (default) keeps the tokens most similar to the question, -1 the least similar ones. */
  readonly sign?: 1 | -1
  /**
   * Where the kept rows are gathered: behind the `features` (default; bit-equal to rows of the unpruned output), in front of
   * the `projector`, or in front of the last block's `feed-forward` part. The last two compute less, are refused where the
   * graph does not allow them, and may differ in the last bit of a sum.
   */
  readonly gather?: GatherPlace
}

/**
 * Builds the selection into the encoder: the result takes an additional input `K` int64 [1] (tokens to keep of every image
 * or tile; clamped to 1..N), and its features output, under the name it always had, holds the kept rows only:
 * [batch, K, width]. New outputs: `kept_indices` int64 [batch, K], ascending, and `roles` uint8 [batch, K] (1 anchor,
 * 2 buffer, 3 register, 4 text). hiprune++ adds the input `text_embedding` float32 [width], in the space of the features.
 *
 * Encoders of dynamic resolution take the grid from `image_grid_thw` where they have it (all images of one call must then
 * be of one size, and the features are [images * K, width]), otherwise from a new input `grid` int64 [2] (rows, columns).
 *
 * Source: SPEC 2, 3 and 7; equal to `createPruner(method).select` on the host.
 *
 * @throws {ArgumentError} for options outside what is allowed
 * @throws {ModelError} for a graph that is not understood, or older than opset 13
 */
export function embedPruning(bytes: Uint8Array, options: EmbedOptions = {}): Uint8Array {
  const settings = checkOptions(options)
  const encoder = readEncoder(bytes)
  const info = describeEncoder(encoder)
  const layers = chooseLayers(encoder, info, options)
  const patch = new GraphPatch(encoder.graph.model)
  if (patch.opset < 13)
    throw new ModelError(`pruning inside the graph needs opset 13 or later, this file has ${patch.opset}`)
  const place = prepareGather(encoder, patch, settings.gather)
  const grid = gridSource(encoder, patch, info)
  const table = neighbourTable(patch, grid, settings.shape, settings.borders)
  const relevance = settings.method === 'hiprune++' ? textRelevance(encoder, patch, grid, place.features) : undefined
  const keep = patch.input('K', dataTypes.int64, [1])
  const scores = layerScores(encoder, patch, grid, layers)
  const { kept, roles } = selectionNodes(patch, { ...scores, relevance, keep, count: grid.count, table }, settings)
  place.gather(kept, grid)
  patch.output('kept_indices', kept, dataTypes.int64, [null, null])
  patch.output('roles', roles, dataTypes.uint8, [null, null])
  return patch.apply()
}

interface Layers {
  readonly object: number
  readonly deep: number
}

function chooseLayers(encoder: Encoder, info: EncoderInfo, options: EmbedOptions): Layers {
  const object = options.objectLayer ?? info.suggestedObjectLayer
  const deep = options.deepLayer ?? info.deepLayer
  checkLayers(encoder, 'objectLayer', [object])
  checkLayers(encoder, 'deepLayer', [deep])
  return { object, deep }
}

/** Received attention of both layers, float32 [images, tokens]. */
function layerScores(encoder: Encoder, patch: GraphPatch, grid: GridSource, { object, deep }: Layers) {
  const scores = (layer: number): string => {
    const site = layerSite(encoder, layer)
    return perImage(patch, grid, toVisualTokens(encoder, patch, site, receivedOverKeys(encoder, patch, site)))
  }
  const objectScores = scores(object)
  return { object: objectScores, deep: object === deep ? objectScores : scores(deep) }
}

function textRelevance(encoder: Encoder, patch: GraphPatch, grid: GridSource, features: string | undefined): string {
  if (features === undefined)
    throw new ArgumentError('gather', 'early', "'features' for hiprune++, which compares all of them with the question")
  const width = encoder.shapes.of(encoder.features.name)?.at(-1) ?? null
  return relevanceNodes(
    patch,
    splitImages(patch, features, grid),
    patch.input('text_embedding', dataTypes.float, [width]),
  )
}

type Settings = SelectionSettings & { readonly gather: GatherPlace }

function checkOptions(options: EmbedOptions): Settings {
  const {
    method = 'hiprune',
    alpha = 0.1,
    shape = 'cross',
    borders = 'grid',
    beta = 0.1,
    sign = 1,
    gather = 'features',
  } = options
  oneOf('method', method, ['hiprune', 'hiprune++'])
  oneOf('shape', shape, bufferShapes)
  oneOf('borders', borders, ['grid', 'clamp'])
  oneOf('sign', sign, [1, -1])
  oneOf('gather', gather, ['features', 'projector', 'feed-forward'])
  for (const [name, value] of Object.entries({ alpha, beta })) {
    if (!(typeof value === 'number' && value >= 0 && value <= 1))
      throw new ArgumentError(name, value, 'a number from 0 to 1')
  }
  return { method, alpha, shape, borders, beta, sign, gather }
}

function oneOf(argument: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) throw new ArgumentError(argument, value, allowed.join(', '))
}
