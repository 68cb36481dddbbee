import * as node from 'onnxruntime-node'
import * as web from 'onnxruntime-web/wasm'
import { beforeAll, describe, expect, it } from 'vitest'
import { embedPruning, inspectEncoder, tapAttention } from '../../src/onnx/index.js'
import { goldenFor, largestDifference, readModelFile } from './oracle-models.js'

/* The runtime of browsers: the same build that pages load, with its WebAssembly provider. One file for every way in which
 * attention is tapped; float32, since the two runtimes round half precision and 8 bit sums differently. */
const files = [
  'tiny-llava/onnx/vision_encoder.onnx',
  'tiny-llava/variants/vision_encoder.ortfused_attention.onnx',
  'tiny-llava/variants/vision_encoder.ortfused_mha.onnx',
  'tiny-llava/variants/vision_encoder.dynamo23_attention_op.onnx',
  'tiny-llava/variants/vision_encoder.ortsaved_extended.onnx',
  'tiny-qwen2.5-vl/onnx/vision_encoder.onnx',
  'tiny-qwen2.5-vl/variants/vision_encoder.dynamo23_attention_op.onnx',
]

beforeAll(() => {
  web.env.wasm.numThreads = 1
})

async function runBoth(bytes: Uint8Array, feeds: Record<string, node.Tensor>) {
  const there = await web.InferenceSession.create(bytes)
  const here = await node.InferenceSession.create(bytes, { intraOpNumThreads: 2, logSeverityLevel: 3 })
  const copies = Object.entries(feeds).map(([name, { type, data, dims }]) => [
    name,
    new web.Tensor(type, data as never, dims),
  ])
  return {
    browser: await there.run(Object.fromEntries(copies) as Record<string, web.Tensor>),
    host: await here.run(feeds),
  }
}

describe('onnxruntime-web', () => {
  it.each(files)('%s: taps and prunes as onnxruntime-node does', async (file) => {
    const bytes = readModelFile(file)
    const { deepLayer, suggestedObjectLayer } = inspectEncoder(bytes)
    const [golden] = goldenFor(file)
    const tapped = await runBoth(tapAttention(bytes, { layers: [suggestedObjectLayer, deepLayer] }), golden!.feeds)
    for (const layer of [suggestedObjectLayer, deepLayer]) {
      const name = `attention_received.${layer}`
      const scores = tapped.browser[name]?.data as Float32Array
      expect(largestDifference(scores, golden!.scores[layer - 1] ?? [])).toBeLessThan(5e-6)
    }
    const keep = new node.Tensor('int64', BigInt64Array.of(9n), [1])
    const pruned = await runBoth(embedPruning(bytes), { ...golden!.feeds, K: keep })
    for (const name of ['kept_indices', 'roles']) expect(pruned.browser[name]?.data).toEqual(pruned.host[name]?.data)
    const [features, expected] = [pruned.browser, pruned.host].map(
      (outputs) => outputs['image_features']?.data as Float32Array,
    )
    expect(largestDifference(features ?? [], expected ?? [])).toBeLessThan(1e-4)
  })
})
