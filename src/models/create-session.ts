import type { ModelFile } from './encoder-file.js'
import type { OnnxSession } from './transformers.js'

interface SessionClass {
  create(bytes: Uint8Array, options: object): Promise<OnnxSession>
}

/** Devices that are one execution provider of the same name; others ('auto', 'gpu') are left to the runtime's default. */
const PROVIDERS = new Set(['cpu', 'wasm', 'webgpu', 'cuda', 'dml', 'coreml'])

/** A session of the same runtime, device and options as `like`, from other bytes. */
export async function createSessionLike(
  like: OnnxSession,
  { bytes, folder }: ModelFile,
  options: object = {},
): Promise<OnnxSession> {
  const device = like.config?.device
  const session = await (like.constructor as unknown as SessionClass).create(bytes, {
    logSeverityLevel: 3,
    ...(device && PROVIDERS.has(device) && { executionProviders: [device] }),
    // A session made from bytes does not know where its external data lies.
    ...(folder && { extra: { session: { model_external_initializers_file_folder_path: folder } } }),
    ...options,
  })
  if (like.config) session.config = like.config
  return session
}
