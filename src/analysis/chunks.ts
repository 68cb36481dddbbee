import type { EncoderInfo } from '../onnx/index.js'

/**
 * Splits layers 1 to L into runs of the encoder. ONNX Runtime keeps the attention maps of all tapped layers until the last one
 * is reduced, so a run's memory grows with its layers.
 *
 * @param numTokens Tokens that attend to each other, CLS included.
 * @param tapMemory Bytes that attention maps of one run may take.
 */
export function layerChunks(info: EncoderInfo, numTokens: number, tapMemory: number): number[][] {
  const depth = info.layers.length
  const perRun = Math.max(1, Math.floor(tapMemory / Math.max(1, mapBytes(info, numTokens))))
  const chunks = Math.ceil(depth / perRun)
  const size = Math.ceil(depth / chunks)
  return Array.from({ length: chunks }, (_, i) =>
    Array.from({ length: Math.min(size, depth - i * size) }, (_, k) => i * size + k + 1),
  ).filter((layers) => layers.length > 0)
}

/** Measured: a tapped float32 map of H x T x T takes twice its size. */
function mapBytes(info: EncoderInfo, numTokens: number): number {
  const heads = Math.max(...info.layers.map((layer) => layer.heads ?? 16))
  return 2 * 4 * heads * numTokens * numTokens
}
