import { randomBytes } from 'node:crypto'
import { access, copyFile, link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { ArgumentError, ModelError } from '../index.js'

/** Reads a model file whole. @throws ModelError in one line when it is not there or cannot be read. */
export async function readEncoderFile(file: string): Promise<Uint8Array> {
  const found = await stat(file).catch(() => undefined)
  if (!found)
    throw new ModelError(
      `${file}: no such file; expected an ONNX model, e.g. onnx/vision_encoder.onnx of a model folder`,
    )
  if (!found.isFile())
    throw new ModelError(`${file}: not a file; expected an ONNX model inside it, e.g. onnx/vision_encoder.onnx`)
  return readFile(file)
}

/** Where a command writes: `--out`, or beside the input under a name of its own. */
export function outputFor(input: string, out: string | undefined, suffix: string): string {
  const output = out ?? path.join(path.dirname(input), `${path.basename(input, '.onnx')}.${suffix}.onnx`)
  if (path.extname(output).toLowerCase() !== '.onnx')
    throw new ArgumentError('--out', output, 'a file name that ends in .onnx')
  if (path.resolve(output) === path.resolve(input))
    throw new ArgumentError('--out', output, 'another file than the input')
  return output
}

/** Refuses an output that could not be written, before any work is done. */
export async function checkOutput(output: string, force: boolean): Promise<void> {
  const folder = await stat(path.dirname(output)).catch(() => undefined)
  if (!folder?.isDirectory()) throw new ArgumentError('--out', output, 'a file in a folder that exists')
  if (!force && (await exists(output)))
    throw new ArgumentError('--out', output, 'a file that does not exist yet, or --force')
}

/**
 * Writes the new model so that readers see the old file or the whole new one, never a part. Weights that the model keeps
 * outside itself are linked (or copied) beside it when it goes to another folder: ONNX Runtime looks for them there.
 */
export async function writeEncoderFile(
  input: string,
  output: string,
  bytes: Uint8Array,
  externalData: readonly string[],
): Promise<void> {
  await bringExternalData(path.dirname(input), path.dirname(output), externalData)
  const temporary = `${output}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(temporary, 'wx')
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, output)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function bringExternalData(from: string, to: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const source = path.join(from, name)
    const target = path.join(to, name)
    if (!(await exists(source))) throw new ModelError(`${source}: no such file; the model keeps weights in it`)
    if (path.resolve(source) === path.resolve(target) || (await exists(target))) continue
    await link(source, target).catch(() => copyFile(source, target))
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
