import { mkdir, mkdtemp, open, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { ModelError } from '../index.js'
import { bytesOf, shapeModelFiles, sizeOf, type RandomFile, type ShapeSizes } from '../evaluation/index.js'
import { countProgress } from './count-progress.js'

/** What a folder that was kept says it holds; written last, so that a broken-off one is written again. */
const MANIFEST = 'shape.json'

/** A shape model on disk. */
export interface ShapeFolder {
  readonly folder: string
  /** Removes what was written, unless the folder was asked for. */
  readonly remove: () => Promise<void>
}

/**
 * Writes a shape model, weights as they are made, into the given folder or a temporary one. A given folder that holds the same
 * sizes and seed already is used as it is.
 *
 * @throws ModelError when the disk is too small.
 */
export async function writeShapeFolder(
  sizes: ShapeSizes,
  seed: number,
  given: string | undefined,
): Promise<ShapeFolder> {
  const manifest = JSON.stringify({ sizes, seed })
  const folder = given ?? (await mkdtemp(path.join(os.tmpdir(), 'hiprune-shape-')))
  const remove = () => (given ? Promise.resolve() : rm(folder, { recursive: true, force: true }))
  const found = await readFile(path.join(folder, MANIFEST), 'utf8').catch(() => undefined)
  if (found === manifest) return { folder, remove }
  try {
    await rm(path.join(folder, MANIFEST), { force: true })
    await mkdir(path.join(folder, 'onnx'), { recursive: true })
    await writeFiles(folder, shapeModelFiles(sizes, seed))
    await writeFile(path.join(folder, MANIFEST), manifest)
    return { folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function writeFiles(folder: string, files: readonly RandomFile[]): Promise<void> {
  const total = files.reduce((sum, file) => sum + sizeOf(file), 0)
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < total) {
    const [wanted, free] = [total, bavail * bsize].map((bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`)
    throw new ModelError(
      `${folder}: ${free} free, ${wanted} needed for the model; name another place with --shape-folder`,
    )
  }
  const progress = countProgress('writing MB', 0, Math.ceil(total / 1e6))
  let written = 0
  for (const file of files) {
    const handle = await open(path.join(folder, file.name), 'w')
    try {
      for (const bytes of bytesOf(file)) {
        await handle.writeFile(bytes)
        written += bytes.length
        progress?.update(Math.floor(written / 1e6))
      }
    } finally {
      await handle.close()
    }
  }
  progress?.stop()
}
