import type { LoadPrunedOptions } from '../../generation/index.js'
import {
  describeSource,
  encoderHash,
  modelFileName,
  readModelFile,
  type VisionLanguageModel,
} from '../../models/index.js'

/**
 * SHA-256 of the model's ONNX files by session, hexadecimal: a run must not go on with another model in the same place.
 * Files with external weights are told apart by their graph only.
 */
export async function modelFingerprint(
  { sessions }: VisionLanguageModel,
  modelId: string,
  loading: LoadPrunedOptions,
): Promise<Record<string, string>> {
  const { id } = await describeSource(modelId, loading)
  const hashes: Record<string, string> = {}
  for (const [name, session] of Object.entries(sessions)) {
    const file = modelFileName(name, session.config?.dtype ?? 'fp32')
    const { bytes } = await readModelFile({ ...loading, modelId: id } as never, file)
    hashes[file] = await encoderHash(bytes)
  }
  return hashes
}
