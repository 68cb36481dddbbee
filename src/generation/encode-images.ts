import type { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import { PATCH_EMBEDS, scoresOf, tappedLayers, type TapScores } from '../models/index.js'
import type { EncoderRun, ModelInputs, OnnxSession, OrtTensor, VisionLanguageModel } from '../models/index.js'
import type { PatchGrid } from '../pruning/index.js'

/** The vision encoder's answer for one image, tile or frame. */
export interface EncodedImage extends TapScores {
  readonly grid: PatchGrid
  /** Row-major `[N, D]`, after the projector. */
  readonly features: Float32Array
  /** `[D]`: the feature of the tile's CLS token, of models whose language model sees it. */
  readonly cls?: Float32Array
  /** Row-major `[N, P]` in the space of the paired text tower, of encoders that ship with one. */
  readonly patchEmbeds?: Float32Array
}

export interface EncodedImages {
  readonly images: readonly EncodedImage[]
  /** D, the language model's width. */
  readonly hiddenSize: number
}

/**
 * Runs the model's own `encode_image` and, beside its one output, keeps the attention taps that the library drops. Taps are
 * recorded per call, not on the model, so that concurrent calls cannot mix.
 */
export async function runEncoder(
  model: VisionLanguageModel,
  inputs: ModelInputs,
  session = 'vision_encoder',
): Promise<{ features: Tensor; outputs: Record<string, OrtTensor> }> {
  const encoder = model.sessions[session]
  if (!encoder) throw new ModelError(`this model folder has no ${session}, which these images need`)
  let outputs: Record<string, OrtTensor> = {}
  const recording = {
    inputNames: encoder.inputNames,
    run: async (feeds: object) => (outputs = await encoder.run(feeds)),
  }
  const sessions = { ...model.sessions, vision_encoder: recording }
  const view = Object.create(model, { sessions: { value: sessions } }) as VisionLanguageModel
  const features = await model.encode_image.call(view, inputs)
  return { features, outputs }
}

/**
 * Visual tokens and attention scores of each entry of `inputs.pixel_values`.
 *
 * @param grids Patch grid of each entry.
 * @param runs Which entries go through which encoder. Default: all through vision_encoder together.
 * @throws ModelError when the encoder returns another number of visual tokens.
 */
export async function encodeImages(
  model: VisionLanguageModel,
  inputs: ModelInputs,
  grids: readonly PatchGrid[],
  runs: readonly EncoderRun[] = [{ session: 'vision_encoder', inputs, grids: [...grids.keys()], hasCls: false }],
): Promise<EncodedImages> {
  const images: EncodedImage[] = []
  let hiddenSize = 0
  for (const run of runs) {
    const encoded = await encodeRun(
      model,
      run,
      run.grids.map((i) => grids[i] as PatchGrid),
    )
    hiddenSize = encoded.hiddenSize
    run.grids.forEach((grid, i) => (images[grid] = encoded.images[i] as EncodedImage))
  }
  return { images, hiddenSize }
}

async function encodeRun(
  model: VisionLanguageModel,
  { session, inputs, hasCls }: EncoderRun,
  grids: readonly PatchGrid[],
): Promise<EncodedImages> {
  const { features, outputs } = await runEncoder(model, inputs, session)
  const taps = tappedLayers(model.sessions[session] as OnnxSession)
  const hiddenSize = features.dims.at(-1) as number
  const data = features.data as Float32Array
  const rows = (from: number, to: number) => data.subarray(from * hiddenSize, to * hiddenSize)
  let start = 0
  let row = 0
  const images = grids.map((grid) => {
    const end = start + grid.rows * grid.columns
    const first = hasCls ? row + 1 : row
    const image = {
      grid,
      features: rows(first, first + end - start),
      ...(hasCls && { cls: rows(row, first) }),
      // Taps never count CLS: they have one score a patch.
      ...scoresOf(outputs, taps, start, end),
      ...patchEmbedsOf(outputs, start, end),
    }
    row = first + end - start
    start = end
    return image
  })
  if (row * hiddenSize !== data.length) {
    const expected = grids.map(({ rows, columns }) => `${rows} x ${columns}${hasCls ? ' and CLS' : ''}`).join(' + ')
    throw new ModelError(
      `${session} returned features [${features.dims.join(', ')}], expected ${expected} visual tokens`,
    )
  }
  return { images, hiddenSize }
}

function patchEmbedsOf(outputs: Record<string, OrtTensor>, start: number, end: number) {
  const output = outputs[PATCH_EMBEDS]
  const width = output?.dims.at(-1) ?? 0
  return output ? { patchEmbeds: (output.data as Float32Array).subarray(start * width, end * width) } : {}
}
