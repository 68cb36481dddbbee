import { ModelError } from '../errors.js'
import { inspectEncoder, type EncoderInfo } from '../onnx/index.js'
import { pathToFeatures, readEncoder, type Encoder } from '../onnx/encoder.js'
import { dataTypes, GraphPatch } from '../onnx/graph-patch.js'
import { findTokenPath } from '../onnx/token-path.js'

/** An encoder file with an output that has one row a token. */
export interface TokenEncoder {
  readonly info: EncoderInfo
  readonly bytes: Uint8Array
  /** Name of the output, `[batch, tokens, D]` or `[tokens, D]`; CLS and register tokens may stand in front. */
  readonly features: string
}

const HIDDEN = 'hiprune_last_hidden_state'

/**
 * Finds the output with the last hidden state. A classifier or a contrastive tower may only return one vector an image: the last
 * value in its graph that still has one row a token then becomes an output. Nothing else in the file changes.
 *
 * @throws ModelError for a file without self-attention over patches, or whose attention or tokens are not understood.
 */
export function withTokenFeatures(bytes: Uint8Array, file: string): TokenEncoder {
  const info = inspectEncoder(bytes)
  const [cannot] =
    info.layers.length === 0 ? info.problems : info.problems.filter((problem) => !/is not understood/.test(problem))
  if (cannot) throw new ModelError(`${file} cannot be studied: ${cannot}`)
  const encoder = readEncoder(bytes)
  const last = encoder.layers.at(-1)
  if (last && pathToFeatures(encoder, last)) return { info, bytes, features: info.featuresOutput }
  const hidden = lastHiddenState(encoder)
  if (!hidden)
    throw new ModelError(
      `${file} cannot be studied: no value of its graph holds one row a token behind its last attention`,
    )
  const patch = new GraphPatch(encoder.graph.model)
  // Inside a float16 file the value is float16.
  const asFloat = patch.node('Cast', [hidden], { to: dataTypes.float })
  patch.output(HIDDEN, asFloat, dataTypes.float, [null, null, null])
  return { info, bytes: patch.apply(), features: HIDDEN }
}

/** The last value in data-flow order that tokens of the last attention reach one by one. */
function lastHiddenState({ graph, shapes, layers }: Encoder): string | undefined {
  const last = layers.at(-1)
  if (!last) return undefined
  for (const node of [...graph.order].reverse()) {
    for (const output of node.outputs) {
      if (shapes.of(output)?.length === 3 && findTokenPath(graph, shapes, last, output)) return output
    }
  }
  return undefined
}
