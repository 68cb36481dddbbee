import { ArgumentError } from '../errors.js'
import type { ObjectMask } from './masks.js'
import { paintPolygon } from './polygon.js'
import { paintRunLengths, type RunLengths } from './rle.js'

/** An instances file of COCO, looked up by image file name. */
export interface CocoInstances {
  /**
   * The union of all objects of an image, crowds included; undefined for a file name that the annotations do not list.
   *
   * @param fileName Without folder, as in the annotations.
   * @throws ArgumentError for a segmentation that does not fit the image.
   */
  maskOf(fileName: string): ObjectMask | undefined
  /** Whether the annotations list this image. */
  has(fileName: string): boolean
}

interface CocoImage {
  readonly id: number
  readonly file_name: string
  readonly width: number
  readonly height: number
}

interface CocoAnnotation {
  readonly image_id: number
  readonly segmentation: readonly (readonly number[])[] | RunLengths
}

/**
 * Reads COCO's instances JSON: polygons and run lengths, uncompressed and compressed.
 *
 * @param json The parsed file.
 * @throws ArgumentError when it has no images or annotations.
 */
export function readCoco(json: unknown): CocoInstances {
  const { images, annotations } = (json ?? {}) as { images?: CocoImage[]; annotations?: CocoAnnotation[] }
  if (!Array.isArray(images) || !Array.isArray(annotations))
    throw new ArgumentError('coco', json, 'an instances JSON with "images" and "annotations"')
  const byName = new Map(images.map((image) => [image.file_name.split('/').at(-1), image]))
  const byImage = new Map<number, CocoAnnotation[]>()
  for (const annotation of annotations) {
    const known = byImage.get(annotation.image_id)
    if (known) known.push(annotation)
    else byImage.set(annotation.image_id, [annotation])
  }
  return {
    has: (fileName) => byName.has(fileName),
    maskOf(fileName) {
      const image = byName.get(fileName)
      return image && unionOf(image, byImage.get(image.id) ?? [])
    },
  }
}

function unionOf({ file_name, width, height }: CocoImage, annotations: readonly CocoAnnotation[]): ObjectMask {
  const mask = { width, height, data: new Uint8Array(width * height) }
  for (const { segmentation } of annotations) {
    try {
      if ('counts' in segmentation) paintRunLengths(segmentation, mask)
      else for (const corners of segmentation) paintPolygon(corners, mask)
    } catch (error) {
      throw new ArgumentError('coco', file_name, `segmentations that fit their image (${(error as Error).message})`)
    }
  }
  return mask
}
