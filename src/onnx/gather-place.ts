import { ModelError } from '../errors.js'
import { pathToFeatures, type Encoder } from './encoder.js'
import { constantTensor } from './graph.js'
import { encodeNode, encodeValueInfo, type GraphPatch } from './graph-patch.js'
import type { GridSource } from './grid-source.js'
import { quote, type OnnxNode, type Span } from './model-reader.js'
import { isLinear, tokenwise } from './operators.js'
import { axisOf } from './shape-arithmetic.js'
import { tokenEffects } from './token-effects.js'
import type { TokenPath } from './token-path.js'
import { unsqueeze } from './verbs.js'
import { WireWriter } from './wire.js'

/** Where the kept rows are gathered. */
export type GatherPlace = 'features' | 'projector' | 'feed-forward'

/** A value of the graph whose rows are gathered. */
interface Place {
  readonly value: string
  /** Tokens in front of the patches in that value. */
  readonly prefix: number
  /** The Slice behind it that drops them, which then has nothing left to do. */
  readonly slice: OnnxNode | undefined
}

/** Prepares the graph for the gather; the returned function adds it. */
export interface Gather {
  /** The features of all tokens, where they are still computed. */
  readonly features: string | undefined
  gather(kept: string, grid: GridSource): void
}

/** Renames what has to make room for gathered rows. @throws {ModelError} where the graph does not allow the place */
export function prepareGather(encoder: Encoder, patch: GraphPatch, where: GatherPlace): Gather {
  const place = where === 'features' ? behindFeatures(encoder) : earlyPlace(encoder, where)
  const maker = encoder.graph.producers.get(place.value)
  if (!maker) throw new ModelError(`the features ${quote(place.value)} are not made by the graph`)
  const late = where === 'features'
  const all = patch.rename(place.value, maker, late ? (encoder.graph.consumers.get(place.value) ?? []) : [])
  if (!late) patch.insertBehind(maker)
  if (place.slice) skipSlice(patch, place.slice)
  declareShapes(encoder, patch, place.value)
  return {
    features: late ? all : undefined,
    gather: (kept, grid) => addGather(encoder, patch, { all, kept, grid, place }),
  }
}

/** Towers return CLS and registers with the features: the rows wanted lie behind them. */
function behindFeatures(encoder: Encoder): Place {
  const last = encoder.layers.at(-1)
  const path = last && pathToFeatures(encoder, last)
  const prefix = path ? (encoder.added.prefix ?? 0) - tokenEffects(encoder, path).dropped : 0
  return { value: encoder.features.name, prefix: Math.max(0, prefix), slice: undefined }
}

/** GatherND over images; packed features are split into images before and joined behind. */
function addGather(
  encoder: Encoder,
  patch: GraphPatch,
  { all, kept, grid, place }: { all: string; kept: string; grid: GridSource; place: Place },
): void {
  const shifted = place.prefix > 0 ? patch.node('Add', [kept, patch.integers([place.prefix])]) : kept
  const indices = unsqueeze(patch, shifted, [2])
  const gather = (data: string, outputs: string[]): unknown =>
    patch.nodeWithOutputs('GatherND', [data, indices], { batch_dims: 1 }, outputs)
  if (encoder.shapes.of(encoder.features.name)?.length !== 2) {
    gather(all, [place.value])
    return
  }
  const rows = patch.newName('rows')
  gather(splitImages(patch, all, grid), [rows])
  const width = patch.node('Slice', [patch.node('Shape', [all]), patch.integers([1]), patch.integers([2])])
  const shape = patch.node('Concat', [patch.integers([-1]), width], { axis: 0 })
  patch.nodeWithOutputs('Reshape', [rows, shape], {}, [place.value])
}

/** [images * tokens, width] -> [images, tokens, width]. */
export function splitImages(patch: GraphPatch, features: string, grid: GridSource): string {
  return patch.node('Reshape', [
    features,
    patch.node('Concat', [patch.integers([-1]), grid.count, lastDim(patch, features)], { axis: 0 }),
  ])
}

function lastDim(patch: GraphPatch, value: string): string {
  return patch.node('Slice', [
    patch.node('Shape', [value]),
    patch.integers([-1]),
    patch.integers([Number.MAX_SAFE_INTEGER]),
  ])
}

/** The Slice behind gathered rows becomes an Identity: added tokens are not among the rows. */
function skipSlice(patch: GraphPatch, slice: OnnxNode): void {
  const node = encodeNode('Identity', slice.inputs.slice(0, 1), {}, slice.outputs, slice.name)
  patch.replace(slice.span, new WireWriter().bytes(1, node).finish())
}

/** Declared lengths that no longer hold: the features' own, and annotations behind an early gather. */
function declareShapes(encoder: Encoder, patch: GraphPatch, value: string): void {
  const { features, graph } = encoder
  const shape = encoder.shapes.of(features.name) ?? [null, null, null]
  const declared = features.dims?.map((dim, i) => (i === shape.length - 2 ? null : dim)) ?? shape.map(() => null)
  const info = new WireWriter().message(12, (output) =>
    encodeValueInfo(output, features.name, features.dataType, declared),
  )
  patch.replace(features.span, info.finish())
  const behind = value === features.name ? new Set([value]) : valuesBehind(encoder, value)
  for (const annotation of graph.model.valueInfos) if (behind.has(annotation.name)) drop(patch, annotation.span)
}

function drop(patch: GraphPatch, span: Span): void {
  patch.replace(span, new Uint8Array())
}

/** The residual sum in front of the last feed-forward part, or what the projector reads. */
function earlyPlace(encoder: Encoder, where: Exclude<GatherPlace, 'features'>): Place {
  const last = encoder.layers.at(-1)
  const path = last && pathToFeatures(encoder, last)
  if (!path || encoder.shapes.of(encoder.features.name)?.length !== 3)
    throw notHere(where, 'tokens cannot be followed to the features')
  const place = where === 'projector' ? beforeProjector(path) : beforeFeedForward(encoder, path)
  if (!place) throw notHere(where, 'no such place was found')
  const obstacle = findObstacle(encoder, place)
  if (obstacle) throw notHere(where, obstacle)
  return place
}

function notHere(where: string, why: string): ModelError {
  return new ModelError(
    `gathering in front of the ${where} is not possible in this graph: ${why}; use gather: 'features'`,
  )
}

/** What the first linear layer on the way reads: nothing but the projector has one there. */
function beforeProjector(path: TokenPath): Place | undefined {
  const at = path.steps.findIndex((step) => step.kind === 'linear')
  const isStructural = path.steps.slice(at).some((step) => step.kind === 'structural')
  const value = path.steps[at]?.input
  return value === undefined || isStructural ? undefined : { value, prefix: 0, slice: undefined }
}

/** The first residual sum behind the attention; the Slice that drops CLS comes later and is skipped. */
function beforeFeedForward(encoder: Encoder, path: TokenPath): Place | undefined {
  const sum = path.steps.find((step) => step.node.opType === 'Add' && !isBias(encoder, step.node))
  const structural = path.steps.filter((step) => step.kind === 'structural')
  const { dropped } = tokenEffects(encoder, path)
  const [slice] = structural
  if (!sum || structural.length > 1 || (slice && (slice.node.opType !== 'Slice' || dropped === 0))) return undefined
  return dropped === (encoder.added.prefix ?? -1)
    ? { value: sum.output, prefix: dropped, slice: slice?.node }
    : undefined
}

function isBias(encoder: Encoder, node: OnnxNode): boolean {
  return node.inputs.some((name) => constantTensor(encoder.graph, name) !== undefined)
}

/** Everything behind the gather has to treat rows one by one and to end in the features only. */
function findObstacle(encoder: Encoder, place: Place): string | undefined {
  const { graph } = encoder
  const behind = valuesBehind(encoder, place.value)
  const outputs = graph.model.outputs.filter(
    (output) => output.name !== encoder.features.name && behind.has(output.name),
  )
  if (outputs[0]) return `the output ${quote(outputs[0].name)} needs all rows`
  for (const name of behind) {
    const wrong = graph.consumers
      .get(name)
      ?.find((node) => node !== place.slice && !treatsRowsAlone(encoder, node, name))
    if (wrong) return `node ${quote(wrong.name)} (${wrong.opType}) needs all rows`
  }
  return undefined
}

function treatsRowsAlone(encoder: Encoder, node: OnnxNode, input: string): boolean {
  if (node.opType === 'DynamicQuantizeLinear') return false // its scale is that of all rows together
  if (/^Reduce/.test(node.opType)) return reducesChannels(encoder, node)
  return tokenwise.has(node.opType) || (isLinear(encoder.graph, node) && node.inputs[0] === input)
}

function reducesChannels(encoder: Encoder, node: OnnxNode): boolean {
  const rank = encoder.shapes.of(node.inputs[0] ?? '')?.length
  const axes = encoder.shapes.axes(node)
  return rank !== undefined && axes?.length === 1 && axisOf(axes[0] ?? 0, rank) === rank - 1
}

/** The value and all values computed from it. */
function valuesBehind(encoder: Encoder, value: string): Set<string> {
  const found = new Set([value])
  const open = [value]
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const output of (encoder.graph.consumers.get(name) ?? []).flatMap((node) => node.outputs)) {
      if (output === '' || found.has(output)) continue
      found.add(output)
      open.push(output)
    }
  }
  return found
}
