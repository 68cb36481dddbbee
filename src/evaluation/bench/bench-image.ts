import { RawImage } from '@huggingface/transformers'
import { seededRandom } from '../../numeric/random.js'

/** A picture of gradients and noise, 640 x 480: decoding a file is no part of what is measured. */
export function benchImage(seed: number): RawImage {
  const [width, height] = [640, 480]
  const random = seededRandom(seed)
  const pixels = new Uint8ClampedArray(width * height * 3)
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    pixels[i] = 64 + (x / width) * 64 + (y / height) * 64 + random() * 64
  }
  return new RawImage(pixels, width, height, 3)
}
