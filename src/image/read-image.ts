import { readFile } from 'node:fs/promises'
import { RawImage } from '@huggingface/transformers'
import sharp, { type Metadata } from 'sharp'
import { ImageError } from '../errors.js'

/** Larger pictures are refused before they are decoded: a few kilobytes of PNG can hold gigabytes of pixels. */
const MAX_SIDE = 16_384
const MAX_PIXELS = 128e6

/**
 * Decodes an image file as a person sees it: EXIF orientation applied, transparency on white, sRGB, first frame only.
 *
 * @throws ImageError when the file is missing, empty, not an image, or larger than 16,384 pixels a side or 128 megapixels.
 */
export async function readImage(file: string): Promise<RawImage> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new ImageError(`cannot read image ${file}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`)
  })
  return await decodeImage(bytes, file)
}

/** The same for a picture that is not a file of its own. @param file What errors call it. */
export async function decodeImage(bytes: Uint8Array, file: string): Promise<RawImage> {
  if (bytes.length === 0) throw new ImageError(`cannot read image ${file}: the file is empty`)
  const picture = sharp(bytes, { limitInputPixels: MAX_PIXELS })
  try {
    checkSize(file, await picture.metadata())
    const upright = picture.autoOrient().flatten({ background: 'white' }).toColourspace('srgb')
    const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true })
    const image = new RawImage(new Uint8ClampedArray(data), info.width, info.height, info.channels as 1 | 2 | 3 | 4)
    return image.rgb()
  } catch (error) {
    if (error instanceof ImageError) throw error
    throw new ImageError(
      `cannot read image ${file}: ${reasonOf(error)} (PNG, JPEG, WebP, GIF, AVIF, TIFF and SVG work)`,
    )
  }
}

function checkSize(file: string, { width, height }: Metadata): void {
  if (width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS) return
  throw new ImageError(
    `cannot read image ${file}: ${width} x ${height} pixels, allowed: ${MAX_SIDE} a side and ${MAX_PIXELS / 1e6} megapixels; scale it down first`,
  )
}

function reasonOf(error: unknown): string {
  const [line = ''] = String((error as Error).message).split('\n', 1)
  return /unsupported image format/i.test(line) ? 'not an image' : line
}
