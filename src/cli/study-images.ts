import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { ArgumentError } from '../index.js'

/** File names that are taken for images in a folder; files that are named one by one may have any name. */
const IMAGE = /\.(png|jpe?g|webp|gif|avif|tiff?)$/i

/**
 * The image files behind arguments, in their order; a folder stands for its images, sorted by name.
 *
 * @throws ArgumentError for an argument that does not exist, and for a folder without images.
 */
export async function listImages(inputs: readonly string[]): Promise<string[]> {
  const lists = await Promise.all(inputs.map(filesOf))
  return lists.flat()
}

async function filesOf(input: string): Promise<string[]> {
  const found = await stat(input).catch(() => undefined)
  if (!found) throw new ArgumentError('images', input, 'image files and folders that exist')
  if (!found.isDirectory()) return [input]
  const names = (await readdir(input)).filter((name) => IMAGE.test(name)).sort()
  if (names.length === 0)
    throw new ArgumentError('images', input, 'a folder with images (png, jpg, webp, gif, avif, tiff)')
  return names.map((name) => path.join(input, name))
}
