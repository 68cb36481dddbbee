// Vision transformers with random weights: the shape models of `hiprune bench`, as bytes.
import { bytesOf, sizeOf } from '../dist/evaluation/shape-models/random-file.js'
import { shapePresets } from '../dist/evaluation/shape-models/sizes.js'
import { visionEncoder } from '../dist/evaluation/shape-models/vision-encoder.js'

/** CLIP-L/14 at 336 pixels, as LLaVA-1.5 uses it: 24 x 24 patches and CLS, 16 heads of 64. */
export const clipLarge336 = { ...shapePresets['vit-l-0.5b'].vision, projected: 4096 }
/** CLIP-B/16 at 224 pixels: some 344 MB of float32 weights. */
export const clipBase = { ...shapePresets['vit-b-135m'].vision, layers: 12, projected: 768 }

/**
 * @param attention 'softmax' (MatMul, Softmax, MatMul), 'multi-head-attention' (com.microsoft) or 'attention' (ai.onnx, opset 23)
 * @param shareLayers one set of weights for all layers: the same work in a smaller file
 * @param external the weights are said to be in a file beside this one; none are written
 */
export function visionTransformer(
  { projected, ...vision },
  { attention = 'softmax', shareLayers = false, external = false, seed = 1 } = {},
) {
  const graph = visionEncoder({ vision, text: { width: projected } }, seed, { attention, shareLayers })
  const [file] = graph.finish('vision_encoder.onnx', external ? 0 : Infinity)
  const bytes = new Uint8Array(sizeOf(file))
  let offset = 0
  for (const part of bytesOf(file)) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}
