import { createRequire } from 'node:module'
import type { EncoderFile, OpenOptions } from '../analysis/index.js'

type OnnxSession = Awaited<ReturnType<OpenOptions['createSession']>>

interface Runtime {
  readonly InferenceSession: { create(bytes: Uint8Array, options: object): Promise<OnnxSession> }
}

/** The very copy of ONNX Runtime that Transformers.js uses: its tensors and no other runtime's fit. */
function runtime(): Runtime {
  const transformers = createRequire(import.meta.url).resolve('@huggingface/transformers')
  return createRequire(transformers)('onnxruntime-node') as Runtime
}

/** Makes sessions on a device ('cpu' by default); external data is looked for in the file's own folder. */
export function sessionsOn(device = 'cpu'): (file: EncoderFile) => Promise<OnnxSession> {
  return ({ bytes, folder }) =>
    runtime().InferenceSession.create(bytes, {
      logSeverityLevel: 3,
      executionProviders: [device],
      ...(folder && { extra: { session: { model_external_initializers_file_folder_path: folder } } }),
    })
}
