import { stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RawImage } from '@huggingface/transformers'
import {
  ArgumentError,
  ModelError,
  overlaySvg,
  seenRegion,
  type Answer,
  type PrunedModel,
  type Visual,
} from '../index.js'
import { imageDataUri, renderPng } from '../node.js'

/** Refuses a file that could not be written, before the model has worked for it. */
export async function checkOverlayFile(file: string): Promise<void> {
  if (path.extname(file).toLowerCase() !== '.png')
    throw new ArgumentError('--overlay', file, 'a file name that ends in .png')
  const folder = await stat(path.dirname(file)).catch(() => undefined)
  if (!folder?.isDirectory()) throw new ArgumentError('--overlay', file, 'a file in a folder that exists')
}

/**
 * Draws what an answer kept of its images and writes it as PNG. Of an image in tiles the last one is drawn, which is the
 * whole picture; of a video every frame.
 *
 * @throws ModelError for several images in tiles, which cannot be told apart here.
 */
export async function writeOverlay(
  file: string,
  { processor }: PrunedModel,
  names: readonly string[],
  visuals: readonly Visual[],
  answer: Answer,
): Promise<void> {
  const images = visuals.flatMap((visual) => framesDrawn(visual, visuals.length, answer))
  const drawn = answer.images.length > images.length ? answer.images.slice(-1) : answer.images
  if (drawn.length < images.length) throw new ModelError('--overlay draws one image at a time for a model with tiles')
  const panels = await Promise.all(
    drawn.map(async ({ grid, selection }, i) => {
      const image = images[i] as RawImage
      const { width, height } = image
      const seen = seenRegion(processor, image)
      return { href: await imageDataUri(image), width, height, seen, grid, selection }
    }),
  )
  const title = `${names.map((name) => path.basename(name)).join(', ')} · ${answer.method}: ${answer.keptTokens} of ${answer.visualTokens} visual tokens`
  await writeFile(file, renderPng(overlaySvg(panels, title)))
}

/** The pictures of an image or video. A model that packs two frames into one grid shows the first of them. */
function framesDrawn(visual: Visual, numVisuals: number, { images }: Answer): RawImage[] {
  if (visual instanceof RawImage) return [visual]
  const frames = visual.frames.map((frame) => (frame instanceof RawImage ? frame : frame.image))
  const perGrid = numVisuals === 1 && images.length < frames.length ? Math.ceil(frames.length / images.length) : 1
  return frames.filter((_, i) => i % perGrid === 0)
}
