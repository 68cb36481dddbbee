import type { Tensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { checkReceivedAttention, inspectEncoder, tapAttention } from '../../src/onnx/index.js'
import { readEncoder } from '../../src/onnx/encoder.js'
import { GraphPatch } from '../../src/onnx/graph-patch.js'
import { readGolden } from '../golden.js'
import {
  createSession,
  goldenFor,
  largestDifference,
  rawBytes,
  readModelFile,
  takesBatch,
  visionFiles,
} from './oracle-models.js'

/** Allowed distance from the reference's scores, by dtype; quantised files are compared with themselves below. */
const tolerances: Record<string, number> = { fp32: 5e-6, fp16: 1e-3 }
const isQuantised = (file: string): boolean => /quantized|_q4/.test(file)

describe('tapAttention against the reference', () => {
  it.each(visionFiles())('%s: features unchanged, scores golden', async (file) => {
    const bytes = readModelFile(file)
    const info = inspectEncoder(bytes)
    expect(info.problems).toEqual([])
    const tapped = await createSession(tapAttention(bytes, { layers: info.layers.map(({ layer }) => layer) }))
    const plain = await createSession(bytes)
    for (const golden of goldenFor(file).filter((candidate) => takesBatch(info, candidate))) {
      const outputs = await tapped.run(golden.feeds)
      const expected = await plain.run(golden.feeds)
      expect(rawBytes(outputs[info.featuresOutput]).equals(rawBytes(expected[info.featuresOutput]))).toBe(true)
      checkReceivedAttention(outputs as Record<string, Tensor & { data: Float32Array }>, info.patchesPerToken)
      for (const { layer } of info.layers) {
        const received = outputs[`attention_received.${layer}`]?.data as Float32Array
        const difference = largestDifference(received, golden.scores[layer - 1] ?? [])
        if (!isQuantised(file)) expect(difference).toBeLessThan(tolerances[info.dtype] ?? 0)
        else expect(received).toHaveLength(golden.scores[layer - 1]?.length ?? 0)
      }
    }
  })
})

describe('tapAttention of quantised encoders', () => {
  it.each(visionFiles().filter(isQuantised))('%s: equals the mean of its own probabilities', async (file) => {
    const bytes = readModelFile(file)
    const info = inspectEncoder(bytes)
    const encoder = readEncoder(bytes)
    const patch = new GraphPatch(encoder.graph.model)
    for (const [i, site] of encoder.layers.entries())
      patch.output(`probs.${i + 1}`, site.probabilities ?? '', 1, [null, null, null, null])
    const plain = await createSession(patch.apply())
    const tapped = await createSession(tapAttention(bytes, { layers: info.layers.map(({ layer }) => layer) }))
    const [golden] = goldenFor(file)
    const own = await plain.run(golden!.feeds)
    const outputs = await tapped.run(golden!.feeds)
    for (const { layer } of info.layers) {
      const expected = tokenScores(own[`probs.${layer}`]!, info.prefixTokens, file.startsWith('tiny-qwen'))
      expect(largestDifference(outputs[`attention_received.${layer}`]?.data as Float32Array, expected)).toBeLessThan(
        1e-6,
      )
    }
  })
})

/** SPEC 1 in double precision on the host: mean over heads and queries, per image; CLS dropped; Qwen's windows undone. */
function tokenScores(probabilities: Tensor, prefix: number, packed: boolean): number[] {
  const [batch = 1, heads = 1, queries = 1, keys = 1] = probabilities.dims
  const data = probabilities.data as Float32Array
  const scores = Array.from({ length: batch }, (_, b) =>
    Array.from({ length: keys }, (_, key) => {
      let sum = 0
      for (let row = 0; row < heads * queries; row++) sum += data[(b * heads * queries + row) * keys + key] ?? NaN
      return sum / (heads * queries)
    }).slice(prefix),
  ).flat()
  return packed ? undoWindows(scores) : scores
}

function undoWindows(patches: readonly number[]): number[] {
  const [image] = readGolden<{ images: { reverse_indices: number[] }[] }>('qwen_vision').images
  const tokens = patches.flatMap((_, i) => (i % 4 === 0 ? [patches.slice(i, i + 4).reduce((a, b) => a + b) / 4] : []))
  return (image?.reverse_indices ?? []).map((from) => tokens[from] ?? NaN)
}
