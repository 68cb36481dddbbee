import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { inspectEncoder } from '../../src/onnx/index.js'
import { families } from '../families.js'

/** What each family's encoder must be understood as. */
const expected: Readonly<Record<string, object>> = {
  paligemma: { family: 'siglip', grid: { rows: 6, columns: 6 }, patchesPerToken: 1, imageSize: 48, patchSize: 8 },
  gemma3: { family: 'siglip', grid: { rows: 4, columns: 4 }, patchesPerToken: 16, imageSize: 64, patchSize: 4 },
  // Its tower has four layers; the last one is not in the file.
  llava_qwen2: { family: 'siglip', grid: { rows: 6, columns: 6 }, patchesPerToken: 1, deepLayer: 3 },
  qwen2_vl: { family: 'qwen2_vl', patchesPerToken: 4, deepLayer: 4 },
  qwen2_5_vl: { family: 'qwen2_5_vl', patchesPerToken: 4, deepLayer: 8 },
  qwen3_vl: { family: 'qwen3_vl', patchesPerToken: 4, deepLayer: 4, featuresOutput: 'image_features' },
  lfm2_vl: { family: 'unknown', patchesPerToken: 4, deepLayer: 4 },
}

it.each(Object.entries(expected))('%s is understood', async (name, facts) => {
  const folder = families.find((family) => family.name === name)!.folder()
  const info = inspectEncoder(await readFile(path.join(folder, 'onnx/vision_encoder.onnx')))
  expect(info).toMatchObject({ ...facts, prefixTokens: 0, problems: [], poolingHeads: [], crossAttention: [] })
  expect(info.layers.every(({ heads }) => heads === 4)).toBe(true)
  const fused = name === 'lfm2_vl' ? 'com.microsoft.MultiHeadAttention' : 'softmax'
  expect(new Set(info.layers.map(({ pattern }) => pattern))).toEqual(new Set([fused]))
})
