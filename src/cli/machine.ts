import { createRequire } from 'node:module'
import os from 'node:os'
import { env } from '@huggingface/transformers'

/** The machine that times depend on, in words. */
export function machineInWords(): string {
  return `${os.cpus().length} x ${cpuModel()}, Node ${process.version}, Transformers.js ${env.version}`
}

export function cpuModel(): string {
  return os.cpus()[0]?.model.trim() ?? 'unknown CPU'
}

/** Versions of this package and of the runtime that Transformers.js uses. */
export function packageVersions(): { hiprune: string; onnxruntime: string } {
  const requireHere = createRequire(import.meta.url)
  const runtime = createRequire(requireHere.resolve('@huggingface/transformers'))
  return {
    hiprune: (requireHere('../../package.json') as { version: string }).version,
    onnxruntime: (runtime('onnxruntime-node/package.json') as { version: string }).version,
  }
}
