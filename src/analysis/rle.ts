import type { ObjectMask } from './masks.js'

/** COCO's run-length encoding: runs of background and object in turn, down the columns; as numbers or as a compressed string. */
export interface RunLengths {
  /** `[height, width]` */
  readonly size: readonly [number, number]
  readonly counts: readonly number[] | string
}

/**
 * Paints the object pixels of a run-length code into a mask.
 *
 * @throws RangeError when the size differs from the mask's or the runs do not fill it.
 */
export function paintRunLengths({ size: [height, width], counts }: RunLengths, mask: ObjectMask): void {
  if (width !== mask.width || height !== mask.height)
    throw new RangeError(
      `run lengths are for ${width} x ${height} pixels, the image has ${mask.width} x ${mask.height}`,
    )
  const runs = typeof counts === 'string' ? decompress(counts) : counts
  let at = 0
  runs.forEach((run, i) => {
    const end = at + run
    if (!(run >= 0) || end > width * height) throw new RangeError(`run ${i} of ${run} pixels leaves the image`)
    if (i % 2 === 1) for (; at < end; at++) mask.data[(at % height) * width + Math.floor(at / height)] = 1
    at = end
  })
  if (at !== width * height) throw new RangeError(`runs cover ${at} pixels, the image has ${width * height}`)
}

/** Six bits a character from '0' on: five of the number, lowest first, and one that says that more follow. */
function decompress(text: string): number[] {
  const counts: number[] = []
  let at = 0
  while (at < text.length) {
    let value = 0
    let shift = 0
    let bits: number
    do {
      bits = text.charCodeAt(at++) - 48
      if (!(bits >= 0 && bits < 64)) throw new RangeError(`character ${at - 1} of the run lengths is none of theirs`)
      value |= (bits & 31) << shift
      shift += 5
    } while (bits & 32)
    // The last group's top bit is the sign.
    if (bits & 16) value |= -1 << shift
    // From the fourth run on only the difference to the one two before is stored.
    counts.push(counts.length > 2 ? value + (counts[counts.length - 2] as number) : value)
  }
  return counts
}
