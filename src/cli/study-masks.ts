import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import sharp from 'sharp'
import { readCoco, type ObjectMask } from '../analysis/index.js'
import { ArgumentError } from '../index.js'

/** How masks are found: by image file. Undefined where the study has none. */
export type MaskReader = ((imageFile: string) => Promise<ObjectMask>) | undefined

export interface MaskOptions {
  /** Folder of mask images, each named as its image. */
  readonly masks?: string
  /** Grey values that are no object, comma separated. */
  readonly maskBackground: string
  /** COCO's instances JSON. */
  readonly coco?: string
}

/**
 * @param images All image files, so that a missing partner is found before the work begins.
 * @throws ArgumentError for both sources at once, a folder or file that cannot be read, and images without a mask.
 */
export async function maskReader(
  { masks, maskBackground, coco }: MaskOptions,
  images: readonly string[],
): Promise<MaskReader> {
  if (masks !== undefined && coco !== undefined) throw new ArgumentError('--coco', coco, 'either --masks or --coco')
  if (masks !== undefined) return await folderReader(masks, labelsOf(maskBackground), images)
  if (coco !== undefined) return await cocoReader(coco, images)
  return undefined
}

function labelsOf(text: string): Set<number> {
  const labels = text.split(',').map(Number)
  if (text.trim() !== '' && labels.every((label) => Number.isInteger(label) && label >= 0)) return new Set(labels)
  throw new ArgumentError('--mask-background', text, "grey values with commas, e.g. '0' or '0,255'")
}

async function folderReader(
  folder: string,
  background: ReadonlySet<number>,
  images: readonly string[],
): Promise<MaskReader> {
  const names = await readdir(folder).catch(() => {
    throw new ArgumentError('--masks', folder, 'a folder that exists')
  })
  const byStem = new Map(names.map((name) => [path.parse(name).name, name]))
  const fileOf = (image: string) => byStem.get(path.parse(image).name)
  const alone = images.find((image) => fileOf(image) === undefined)
  if (alone !== undefined)
    throw new ArgumentError('--masks', folder, `a mask for every image, ${path.parse(alone).name}.png for ${alone}`)
  return (image) => readMask(path.join(folder, fileOf(image) as string), background)
}

/** Label map or black-and-white picture: every grey value that is not background is an object; of colours, all but black. */
export async function readMask(file: string, background: ReadonlySet<number>): Promise<ObjectMask> {
  try {
    const { depth = 'uchar', space } = await sharp(file).metadata()
    const isGrey = space === 'b-w' || space === 'grey16'
    const picture = sharp(file).removeAlpha()
    const grey = isGrey && depth === 'ushort' ? picture.toColourspace('grey16') : picture
    const { data, info } = await grey
      .raw({ depth: isGrey && depth === 'ushort' ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const labels = isGrey && depth === 'ushort' ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data
    const mask = new Uint8Array(info.width * info.height)
    for (let i = 0; i < mask.length; i++) {
      mask[i] = background.has(largestOf(labels, i * info.channels, info.channels)) ? 0 : 1
    }
    return { width: info.width, height: info.height, data: mask }
  } catch (error) {
    throw new ArgumentError('--masks', file, `a mask image (${(error as Error).message.split('\n', 1)[0] ?? ''})`)
  }
}

function largestOf(values: ArrayLike<number>, start: number, count: number): number {
  let largest = 0
  for (let i = start; i < start + count; i++) largest = Math.max(largest, values[i] as number)
  return largest
}

async function cocoReader(file: string, images: readonly string[]): Promise<MaskReader> {
  const instances = readCoco(await readJson('--coco', file))
  const alone = images.find((image) => !instances.has(path.basename(image)))
  if (alone !== undefined)
    throw new ArgumentError('--coco', file, `annotations that list every image, also ${path.basename(alone)}`)
  return (image) => Promise.resolve(instances.maskOf(path.basename(image)) as ObjectMask)
}

/** @throws ArgumentError for a file that cannot be read or is no JSON. */
export async function readJson(option: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new ArgumentError(option, file, `a JSON file (${(error as Error).message.split('\n', 1)[0] ?? ''})`)
  }
}
