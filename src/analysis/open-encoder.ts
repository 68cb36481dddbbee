import { AutoConfig, AutoProcessor, type Processor, type RawImage } from '@huggingface/transformers'
import {
  describeSource,
  encoderHash,
  modelFileName,
  readModelFile,
  type ModelConfig,
  type OnnxSession,
} from '../models/index.js'
import { createLayerEncoder, type LayerEncoder, type PreparedImage } from './encoder.js'
import { pixelRecipe, prepareByProcessor, prepareByRecipe, type PixelOptions } from './prepare.js'
import { withTokenFeatures, type TokenEncoder } from './token-features.js'

/** An encoder's bytes and, on disk, the folder where its external data lies. */
export interface EncoderFile {
  readonly bytes: Uint8Array
  readonly folder?: string
}

export interface OpenOptions {
  /** Makes a session of the runtime from an encoder's bytes. */
  readonly createSession: (file: EncoderFile) => Promise<OnnxSession>
  /** Bytes that attention maps may take in one run. Default 1 GiB. */
  readonly tapMemory?: number | undefined
}

/** An encoder that a study can run, and what identifies it. */
export interface StudyEncoder extends LayerEncoder {
  /** Name of the file, without folder. */
  readonly file: string
  /** SHA-256 of the file, hexadecimal. */
  readonly sha256: string
  /** How images become pixels, in words. */
  readonly preprocessing: string
}

/**
 * The vision encoder of a model in the Transformers.js layout, with the model's own image processor. The language model is not
 * loaded.
 *
 * @param modelId Folder or hub id.
 * @throws ModelError when files are missing or the encoder cannot be studied.
 */
export async function openModelEncoder(
  modelId: string,
  { dtype = 'fp32', ...options }: OpenOptions & { readonly dtype?: string | undefined },
): Promise<StudyEncoder> {
  const source = await describeSource(modelId)
  const config = await source.load<ModelConfig>((id) => AutoConfig.from_pretrained(id))
  const processor = await source.load<Processor>((id) => AutoProcessor.from_pretrained(id))
  const name = modelFileName('vision_encoder', dtype)
  const file = await readModelFile({ modelId: source.id }, name)
  const encoder = withTokenFeatures(file.bytes, name)
  const prepare = prepareByProcessor(config, processor)
  return await assemble(file, name, encoder, prepare, "the model's own image processor", options)
}

/**
 * A bare encoder file: any ONNX with self-attention over patches and one image as its input.
 *
 * @param name The file's name, for messages and the calibration.
 * @throws ModelError when it cannot be studied, ArgumentError for pixel options that do not fit it.
 */
export async function openEncoderFile(
  file: EncoderFile,
  name: string,
  { imageSize, mean, std, ...options }: OpenOptions & PixelOptions,
): Promise<StudyEncoder> {
  const encoder = withTokenFeatures(file.bytes, name)
  const recipe = pixelRecipe(encoder.info, { imageSize, mean, std })
  const words = `squeezed to ${recipe.imageSize} x ${recipe.imageSize}, mean ${recipe.mean.join(', ')}, deviation ${recipe.std.join(', ')}`
  return await assemble(file, name, encoder, prepareByRecipe(encoder.info, recipe), words, options)
}

async function assemble(
  file: EncoderFile,
  name: string,
  encoder: TokenEncoder,
  prepare: (image: RawImage) => Promise<PreparedImage>,
  preprocessing: string,
  { createSession, tapMemory }: OpenOptions,
): Promise<StudyEncoder> {
  const layers = createLayerEncoder({
    encoder,
    prepare,
    createSession: (bytes) => createSession({ ...file, bytes }),
    ...(tapMemory !== undefined && { tapMemory }),
  })
  return Object.assign(layers, { file: name, sha256: await encoderHash(file.bytes), preprocessing })
}
