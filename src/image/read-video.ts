import { open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { RawImage } from '@huggingface/transformers'
import sharp, { type Metadata } from 'sharp'
import { ArgumentError, ImageError } from '../errors.js'
import { readImage } from './read-image.js'
import { sampleFrames } from './video.js'

/** A video on disk whose frames are known but not decoded yet. */
export interface VideoFile {
  readonly numFrames: number
  /** Decodes these frames (0-based), one after the other. */
  read(frames: readonly number[]): Promise<RawImage[]>
}

/** A folder or an animation of more frames is refused: hours of film at video rate. */
const MAX_FRAMES = 100_000
/** Bytes of an animation: it is read whole. */
const MAX_BYTES = 512e6
/** Pixels of all frames that are decoded for one question, 768 MB of RGB. */
const MAX_PIXELS = 256e6
const PICTURE = /\.(png|jpe?g|webp|gif|avif|tiff?)$/i

/**
 * Opens a video: a folder of pictures, whose frames are its files in the order of their names (numbers by value: 2 before
 * 10), or an animated GIF or WebP. Other containers need a decoder that this package does not have.
 *
 * @throws ImageError when it is neither, or larger than 100,000 frames or 512 MB.
 */
export async function openVideo(file: string): Promise<VideoFile> {
  const found = await stat(file).catch(() => undefined)
  if (!found) throw new ImageError(`cannot read video ${file}: no such file or folder`)
  const video = found.isDirectory() ? await openFolder(file) : await openAnimation(file, found.size)
  if (video.numFrames <= MAX_FRAMES) return video
  throw new ImageError(`cannot read video ${file}: ${video.numFrames} frames, allowed: ${MAX_FRAMES}; leave some out`)
}

/**
 * Reads frames of a video at equal distances.
 *
 * @param options.frames How many. Default 8; a shorter video is taken whole.
 * @throws ArgumentError for a number of frames that is not an integer from 1, ImageError as {@link openVideo} and for frames
 *   of more than 256 megapixels together.
 */
export async function readVideo(file: string, { frames = 8 } = {}): Promise<{ frames: RawImage[] }> {
  if (!Number.isSafeInteger(frames) || frames < 1) throw new ArgumentError('frames', frames, 'an integer from 1')
  const video = await openVideo(file)
  return { frames: await video.read(sampleFrames(video.numFrames, frames)) }
}

async function openFolder(folder: string): Promise<VideoFile> {
  const byNumber = new Intl.Collator('en', { numeric: true })
  const names = (await readdir(folder)).filter((name) => PICTURE.test(name)).sort(byNumber.compare)
  if (names.length === 0)
    throw new ImageError(`cannot read video ${folder}: the folder has no pictures (PNG, JPEG, WebP, GIF, AVIF, TIFF)`)
  return {
    numFrames: names.length,
    async read(frames) {
      const files = frames.map((frame) => path.join(folder, names[frame] as string))
      // From the headers, before anything is decoded; what is no picture is told by readImage.
      const sizes = await Promise.all(files.map((file) => describe(file).catch(() => ({ width: 0, height: 0 }))))
      checkPixels(
        folder,
        sizes.reduce((sum, { width, height }) => sum + width * height, 0),
      )
      const images: RawImage[] = []
      for (const file of files) images.push(await readImage(file))
      return images
    },
  }
}

async function openAnimation(file: string, size: number): Promise<VideoFile> {
  if (size > MAX_BYTES) throw new ImageError(`cannot read video ${file}: ${size} bytes, allowed: ${MAX_BYTES}`)
  if (!(await isAnimationFormat(file)))
    throw new ImageError(`cannot read video ${file}: not a folder of pictures, an animated GIF or an animated WebP`)
  const metadata = await describe(file)
  const { pages = 1, width, height, pageHeight = height } = metadata
  if (pages < 2) throw new ImageError(`cannot read video ${file}: it holds one picture: ask about it as an image`)
  return {
    numFrames: pages,
    async read(frames) {
      checkPixels(file, frames.length * width * pageHeight)
      const images: RawImage[] = []
      for (const page of frames) images.push(await readPage(file, page))
      return images
    },
  }
}

/** GIF and WebP by their first bytes: nothing else is handed to a decoder under this name. */
async function isAnimationFormat(file: string): Promise<boolean> {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(12), 0, 12, 0)
    const start = buffer.subarray(0, bytesRead).toString('latin1')
    return start.startsWith('GIF8') || (start.startsWith('RIFF') && start.endsWith('WEBP'))
  } finally {
    await handle.close()
  }
}

async function describe(file: string): Promise<Metadata> {
  return await sharp(file, { limitInputPixels: MAX_PIXELS })
    .metadata()
    .catch((error: Error) => {
      throw broken(file, error)
    })
}

async function readPage(file: string, page: number): Promise<RawImage> {
  try {
    const frame = sharp(file, { page, pages: 1, limitInputPixels: MAX_PIXELS })
    const flat = frame.flatten({ background: 'white' }).toColourspace('srgb')
    const { data, info } = await flat.raw().toBuffer({ resolveWithObject: true })
    return new RawImage(new Uint8ClampedArray(data), info.width, info.height, info.channels as 1 | 2 | 3 | 4).rgb()
  } catch (error) {
    throw broken(file, error as Error, page)
  }
}

function broken(file: string, error: Error, page?: number): ImageError {
  const [reason = ''] = error.message.split('\n', 1)
  return new ImageError(`cannot read video ${file}${page === undefined ? '' : `, frame ${page}`}: ${reason}`)
}

function checkPixels(file: string, pixels: number): void {
  if (pixels <= MAX_PIXELS) return
  throw new ImageError(
    `cannot read video ${file}: its frames have ${Math.round(pixels / 1e6)} megapixels together, allowed: ${MAX_PIXELS / 1e6}; take fewer frames or scale them down`,
  )
}
