import type { RawImage } from '@huggingface/transformers'
import { ArgumentError } from '../errors.js'
import type { LayerEncoder } from './encoder.js'
import type { ObjectMask } from './masks.js'
import { measureImage } from './measure.js'
import type { StudyTotals } from './totals.js'

/** An image of a study, read only when its turn comes. */
export interface StudyImage {
  readonly name: string
  load(): Promise<RawImage>
  /** Undefined where the image has no mask at all; an empty mask means that it shows no object. */
  readonly loadMask?: () => Promise<ObjectMask>
}

/** Called after every block of images with the number measured so far. */
export type OnMeasured = (done: number) => void | Promise<void>

/**
 * Measures the images that `totals` has not seen yet and adds them to it. Interrupted, `totals` holds whole images, and a later
 * call with the same images goes on there.
 *
 * @param images In an order that stays the same.
 * @throws ArgumentError for a mask of another size than its image.
 */
export async function measureImages(
  encoder: LayerEncoder,
  images: readonly StudyImage[],
  totals: StudyTotals,
  onMeasured: OnMeasured = () => undefined,
): Promise<void> {
  while (totals.images < images.length) {
    const block = images.slice(totals.images, totals.images + encoder.blockSize)
    const pictures = await Promise.all(block.map((image) => image.load()))
    const masks = await Promise.all(block.map((image, i) => maskOf(image, pictures[i] as RawImage)))
    const encoded = await encoder.encode(pictures)
    encoded.forEach((layers, i) => totals.add(measureImage(layers, masks[i])))
    await onMeasured(totals.images)
  }
}

async function maskOf({ name, loadMask }: StudyImage, { width, height }: RawImage): Promise<ObjectMask | undefined> {
  const mask = await loadMask?.()
  if (!mask || (mask.width === width && mask.height === height)) return mask
  throw new ArgumentError(
    'masks',
    `${mask.width} x ${mask.height} pixels for ${name}`,
    `${width} x ${height}, the size of the image`,
  )
}
