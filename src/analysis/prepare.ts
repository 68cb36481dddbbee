import { Tensor, type Processor, type RawImage } from '@huggingface/transformers'
import { ArgumentError, ModelError } from '../errors.js'
import { adapterFor, seenRegion, type ModelConfig, type ModelInputs } from '../models/index.js'
import type { EncoderInfo } from '../onnx/index.js'
import type { PreparedImage } from './encoder.js'

/** Images through a model's own processor. One image must make one grid: an image cut into tiles has no one rank map. */
export function prepareByProcessor(
  config: ModelConfig,
  processor: Processor,
): (image: RawImage) => Promise<PreparedImage> {
  const adapter = adapterFor(config)
  return async (image) => {
    const inputs = (await adapter.preprocess(processor, [image])) as ModelInputs
    const grids = adapter.grids(config, inputs)
    const [grid] = grids
    if (!grid || grids.length > 1)
      throw new ModelError(
        `the model's processor makes ${grids.length} tiles of an image; study its encoder with --encoder instead`,
      )
    const feeds = Object.fromEntries(Object.entries(inputs).filter(([, value]) => value instanceof Tensor))
    return { feeds: feeds as Record<string, Tensor>, grid, region: seenRegion(processor, image) }
  }
}

/** How a bare encoder file wants its pixels. */
export interface PixelOptions {
  /** Side of the square input. Default: what the file says. */
  readonly imageSize?: number | undefined
  /** Per channel, subtracted from values of 0 to 1. Default: that of the encoder's family. */
  readonly mean?: readonly number[] | undefined
  /** Per channel, divided by. Default: that of the encoder's family. */
  readonly std?: readonly number[] | undefined
}

export interface PixelRecipe {
  readonly imageSize: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] }
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }

/**
 * Fills in what was not given: the file's own input size, and the mean and deviation that encoders of its family were trained
 * with (CLIP's, ImageNet's for DINOv2, else 0.5).
 *
 * @throws ArgumentError when the file fixes no size and none was given.
 */
export function pixelRecipe(info: EncoderInfo, { imageSize, mean, std }: PixelOptions): PixelRecipe {
  imageInput(info)
  const side = imageSize ?? info.imageSize
  if (!side) throw new ArgumentError('imageSize', side, 'the side of the input in pixels, which this file does not fix')
  if (info.imageSize && side !== info.imageSize)
    throw new ArgumentError('imageSize', side, `${info.imageSize}, the size that this file fixes`)
  const usual = info.family === 'clip' ? CLIP : info.family === 'dinov2-like' ? IMAGENET : HALF
  return { imageSize: side, mean: mean ?? usual.mean, std: std ?? usual.std }
}

/** Images for a bare encoder: squeezed to a square, scaled to 0 to 1, less the mean, over the deviation. */
export function prepareByRecipe(info: EncoderInfo, recipe: PixelRecipe): (image: RawImage) => Promise<PreparedImage> {
  const input = imageInput(info)
  const grid = gridOf(info, recipe.imageSize)
  return async (image) => {
    const region = { x: 0, y: 0, width: image.width, height: image.height }
    return { feeds: { [input.name]: await pixelsOf(image, recipe) }, grid, region }
  }
}

/** @throws ModelError for an encoder that takes something else than one float32 image. */
function imageInput(info: EncoderInfo): EncoderInfo['inputs'][number] {
  const input = info.inputs.find(({ shape }) => shape.length === 4)
  if (!input || info.inputs.length > 1) {
    const names = info.inputs.map(({ name }) => name).join(', ')
    throw new ModelError(`this encoder takes ${names}, not one image: study it as part of its model with --model`)
  }
  if (input.dtype !== 'fp32' && input.dtype !== 'float32')
    throw new ModelError(`input ${input.name} of this encoder is ${input.dtype}, only float32 pixels are supported`)
  return input
}

function gridOf(info: EncoderInfo, imageSize: number) {
  if (info.grid && info.imageSize === imageSize) return info.grid
  const side = imageSize / ((info.patchSize ?? NaN) * Math.sqrt(info.patchesPerToken))
  if (!(side >= 1)) throw new ModelError('the patch size of this encoder cannot be told from its file')
  return { rows: Math.floor(side), columns: Math.floor(side) }
}

/** float32 `[1, 3, side, side]` */
async function pixelsOf(image: RawImage, { imageSize, mean, std }: PixelRecipe): Promise<Tensor> {
  const resized = await image.clone().rgb().resize(imageSize, imageSize, { resample: 3 })
  const size = imageSize * imageSize
  const pixels = new Float32Array(3 * size)
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) {
      const value = (resized.data[3 * i + c] as number) / 255
      pixels[c * size + i] = (value - (mean[c] as number)) / (std[c] as number)
    }
  }
  return new Tensor('float32', pixels, [1, 3, imageSize, imageSize])
}
