import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import {
  measureImages,
  openEncoderFile,
  openModelEncoder,
  StudyTotals,
  type EncoderFile,
  type OpenOptions,
} from '../../src/analysis/index.js'
import { readImage } from '../../src/node.js'
import { oracleRoot, readGolden, readGoldenBin, type BinReference } from '../golden.js'
import { largestDifference } from '../onnx/oracle-models.js'
import { MiniModel, randoms } from '../onnx/mini-model.js'

interface TowerGolden {
  images: { png: string; scores: number[][]; last_hidden_state: BinReference }[]
}

type Session = Awaited<ReturnType<OpenOptions['createSession']>>
let sessions = 0
const createSession = async ({ bytes }: EncoderFile): Promise<Session> => {
  sessions++
  return (await InferenceSession.create(bytes, { logSeverityLevel: 3 })) as unknown as Session
}
const tower = async (name: string) =>
  new Uint8Array(await readFile(`${oracleRoot}models/${name}/onnx/vision_model.onnx`))
const golden = (name: string) => readGolden<TowerGolden>(name).images

describe('a bare encoder file', () => {
  it.each([
    ['tiny-clip-vit', 'clip'],
    ['tiny-siglip-vit', 'siglip'],
  ])(
    '%s: scores of all layers and features are those of the reference, from the image file on',
    async (name, family) => {
      const encoder = await openEncoderFile({ bytes: await tower(name) }, name, { createSession, ...pixelsOf(family) })
      for (const { png, scores, last_hidden_state } of golden(family)) {
        const [encoded] = await encoder.encode([await readImage(`${oracleRoot}golden/${png}`)])
        expect(encoded!.received).toHaveLength(scores.length)
        encoded!.received.forEach((row, i) => expect(largestDifference(row, scores[i]!)).toBeLessThan(1e-5))
        const hidden = readGoldenBin(last_hidden_state)
        expect(
          largestDifference(encoded!.features, hidden.subarray(hidden.length - encoded!.numTokens * 64)),
        ).toBeLessThan(1e-4)
      }
      expect(encoder.runsPerImage).toBe(1)
      await encoder.release()
    },
  )

  it('in chunks of layers: the same numbers to the last bit, a session a chunk and not an image', async () => {
    const bytes = await tower('tiny-clip-vit')
    const images = await Promise.all(golden('clip').map(({ png }) => readImage(`${oracleRoot}golden/${png}`)))
    const whole = await openEncoderFile({ bytes }, 'whole', { createSession })
    const expected = await whole.encode(images)
    // 4 heads, 65 tokens, 8 bytes: 135,200 bytes a layer.
    const parts = await openEncoderFile({ bytes }, 'parts', { createSession, tapMemory: 5 * 135_200 })
    sessions = 0
    expect(await parts.encode(images)).toEqual(expected)
    expect([parts.runsPerImage, sessions, parts.blockSize > images.length]).toEqual([3, 3, true])
    await whole.release()
  })

  it('that only returns one vector an image: its last hidden state is found inside', async () => {
    const image = await readImage(`${oracleRoot}golden/images/clip_0.png`)
    const encoder = await openEncoderFile({ bytes: classifier() }, 'classifier.onnx', { createSession })
    const [encoded] = await encoder.encode([image])
    const reference = await openEncoderFile({ bytes: classifier(true) }, 'tokens.onnx', { createSession })
    const [expected] = await reference.encode([image])
    expect(encoded!.numTokens).toBe(4)
    expect(encoded!.features).toHaveLength(4 * 8)
    expect(encoded).toEqual(expected)
  })

  it('refuses what is no image encoder, sizes that do not fit, and a size that nobody told', async () => {
    const open = (bytes: Uint8Array, options = {}) =>
      openEncoderFile({ bytes }, 'x.onnx', { createSession, ...options })
    const read = async (file: string) => new Uint8Array(await readFile(`${oracleRoot}models/${file}`))
    await expect(open(await read('tiny-llava/onnx/embed_tokens.onnx'))).rejects.toThrow(
      'x.onnx cannot be studied: no self-attention over patches was found',
    )
    await expect(open(await read('tiny-qwen2.5-vl/onnx/vision_encoder.onnx'))).rejects.toThrow(
      'this encoder takes pixel_values, image_grid_thw, not one image: study it as part of its model with --model',
    )
    await expect(open(classifier(), { imageSize: 99 })).rejects.toThrow(/^imageSize: got 99, allowed: 8/)
    await expect(open(new Uint8Array(8))).rejects.toThrow(/^not a (usable|readable) ONNX/)
  })
})

describe("a model's encoder", () => {
  it('is fed by its own processor and gives the scores of the reference', async () => {
    interface VlmGolden {
      samples: { png: string; scores: BinReference; image_features: BinReference }[]
    }
    const sample = readGolden<VlmGolden>('vlm_llava').samples[0]!
    const encoder = await openModelEncoder(`${oracleRoot}models/tiny-llava`, { createSession })
    const [encoded] = await encoder.encode([await readImage(`${oracleRoot}golden/${sample.png}`)])
    const scores = readGoldenBin(sample.scores)
    encoded!.received.forEach((row, i) =>
      expect(largestDifference(row, scores.subarray(i * 64, i * 64 + 64))).toBeLessThan(1e-5),
    )
    expect(largestDifference(encoded!.features, readGoldenBin(sample.image_features))).toBeLessThan(1e-4)
    expect(encoder.sha256).toMatch(/^[0-9a-f]{64}$/)
    await encoder.release()
  })

  it('a mask of another size is refused with both sizes', async () => {
    const encoder = await openModelEncoder(`${oracleRoot}models/tiny-llava`, { createSession })
    const file = `${oracleRoot}golden/images/clip_0.png`
    const loadMask = () => Promise.resolve({ width: 3, height: 2, data: new Uint8Array(6) })
    const images = [{ name: path.basename(file), load: () => readImage(file), loadMask }]
    const totals = new StudyTotals(encoder.info.layers.length, 0)
    await expect(measureImages(encoder, images, totals)).rejects.toThrow(
      /^masks: got "3 x 2 pixels for clip_0.png", allowed: 112 x 112/,
    )
    expect(totals.images).toBe(0)
  })
})

function pixelsOf(family: string) {
  const half = [0.5, 0.5, 0.5]
  return family === 'siglip' ? { mean: half, std: half } : {}
}

/** A ViT of one layer on 2 x 2 patches with a CLS token; returns logits of CLS, or with `tokens` its last hidden state. */
function classifier(tokens = false): Uint8Array {
  const model = new MiniModel()
  const pixels = model.input('pixel_values', [1, 3, 8, 8])
  const patches = model.node('Conv', [pixels, model.weight([8, 3, 4, 4], randoms(384, 1))], {
    strides: [4, 4],
    kernel_shape: [4, 4],
  })
  const rows = model.node('Transpose', [model.node('Reshape', [patches, model.integers([1, 8, 4])])], {
    perm: [0, 2, 1],
  })
  const x = model.node('Concat', [model.weight([1, 1, 8], randoms(8, 2)), rows], { axis: 1 })
  const project = (seed: number) => model.node('MatMul', [x, model.weight([8, 8], randoms(64, seed))])
  const heads = (value: string, perm: number[]) =>
    model.node('Transpose', [model.node('Reshape', [value, model.integers([1, 5, 2, 4])])], { perm })
  const scores = model.node('MatMul', [heads(project(3), [0, 2, 1, 3]), heads(project(4), [0, 2, 3, 1])])
  const attended = model.node('MatMul', [
    model.node('Softmax', [scores], { axis: -1 }),
    heads(project(5), [0, 2, 1, 3]),
  ])
  const merged = model.node('Reshape', [
    model.node('Transpose', [attended], { perm: [0, 2, 1, 3] }),
    model.integers([1, 5, 8]),
  ])
  const hidden = model.node('Add', [model.node('MatMul', [merged, model.weight([8, 8], randoms(64, 6))]), x])
  if (tokens) {
    model.output('last_hidden_state', hidden, [1, 5, 8])
    return model.finish()
  }
  const cls = model.node('Gather', [hidden, model.tensor([], 7, new Uint8Array(8))], { axis: 1 })
  model.output('logits', model.node('MatMul', [cls, model.weight([8, 3], randoms(24, 7))]), [1, 3])
  return model.finish()
}
