import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { RawImage } from '@huggingface/transformers'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openVideo, readVideo } from './read-video.js'
import { framesOf, sampleFrames } from './video.js'

let folder: string
const file = (name: string) => path.join(folder, name)
const frame = (red: number, width = 24, height = 16) =>
  sharp({ create: { width, height, channels: 3, background: { r: red, g: 60, b: 200 } } })
    .png()
    .toBuffer()
/** Red of the pixel in the middle, which tells the frames apart. */
const reds = (images: readonly RawImage[]) =>
  images.map(({ data, width, height }) => data[3 * (width * (height >> 1) + (width >> 1))])

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-video-'))
  const frames = await Promise.all(Array.from({ length: 20 }, (_, i) => frame(10 * i)))
  await sharp(frames, { join: { animated: true } })
    .gif()
    .toFile(file('clip.gif'))
  await sharp(frames, { join: { animated: true } })
    .webp({ lossless: true })
    .toFile(file('clip.webp'))
  await mkdir(file('frames'))
  for (const [i, bytes] of frames.entries()) await writeFile(file(`frames/frame-${i + 1}.png`), bytes)
  await writeFile(file('frames/notes.txt'), 'not a frame')
}, 60_000)
afterAll(() => rm(folder, { recursive: true }))

describe('sampleFrames', () => {
  it.each([
    [20, 8, [0, 2, 5, 7, 10, 12, 15, 17]],
    [8, 8, [0, 1, 2, 3, 4, 5, 6, 7]],
    [3, 8, [0, 1, 2]],
    [100, 1, [0]],
  ])('of %i frames %i', (total, count, expected) => expect(sampleFrames(total, count)).toEqual(expected))

  it('refuses what is not a number of frames', () => {
    expect(() => sampleFrames(0, 8)).toThrow(/^total: got 0, allowed: an integer from 1$/)
    expect(() => sampleFrames(8, 2.5)).toThrow(/^count: got 2.5/)
  })

  it('frames may carry their time, as load_video returns them', () => {
    const image = new RawImage(new Uint8ClampedArray(3), 1, 1, 3)
    expect(framesOf({ frames: [{ image }, image] })).toEqual([image, image])
  })
})

describe('readVideo', () => {
  it.each(['clip.gif', 'clip.webp', 'frames'])('%s: frames at equal distances', async (name) => {
    expect((await openVideo(file(name))).numFrames).toBe(20)
    const { frames } = await readVideo(file(name))
    expect(frames.map(({ width, height, channels }) => [width, height, channels])).toEqual(
      Array<number[]>(8).fill([24, 16, 3]),
    )
    expect(reds(frames)).toEqual([0, 20, 50, 70, 100, 120, 150, 170])
    expect((await readVideo(file(name), { frames: 99 })).frames).toHaveLength(20)
  })

  it('composes frames that hold only what changed', async () => {
    const still = await sharp({ create: { width: 24, height: 16, channels: 3, background: '#ff0000' } })
      .png()
      .toBuffer()
    const moved = await sharp(still)
      .composite([{ input: await frame(0, 4, 4), left: 0, top: 0 }])
      .png()
      .toBuffer()
    await sharp([still, moved], { join: { animated: true } })
      .gif()
      .toFile(file('partial.gif'))
    const { frames } = await readVideo(file('partial.gif'))
    expect(reds(frames)).toEqual([255, 255])
    expect(frames[1]!.data[0]).toBeLessThan(30)
  })
})

describe('hostile and broken files get one line', () => {
  beforeAll(async () => {
    await mkdir(file('empty'))
    await writeFile(file('empty.gif'), '')
    await writeFile(file('film.mp4'), Buffer.concat([Buffer.alloc(4), Buffer.from('ftypisom'), Buffer.alloc(64)]))
    await writeFile(file('text.gif'), 'not an animation')
    const whole = await readFile(file('clip.gif'))
    await writeFile(file('cut.gif'), whole.subarray(0, 30))
    // An animation whose header claims 10,000 x 9,000 pixels.
    const huge = await readFile(file('clip.webp'))
    expect(huge.toString('latin1', 12, 16)).toBe('VP8X')
    huge.writeUIntLE(10_000 - 1, 24, 3)
    huge.writeUIntLE(9000 - 1, 27, 3)
    await writeFile(file('huge.webp'), huge)
    await sharp(await frame(1))
      .gif()
      .toFile(file('still.gif'))
    await writeFile(file('big.gif'), whole)
    await truncate(file('big.gif'), 513e6)
    await mkdir(file('large'))
    for (const i of [1, 2, 3]) await writeFile(file(`large/${i}.webp`), huge)
    await mkdir(file('broken'))
    await writeFile(file('broken/1.png'), 'no picture')
  }, 60_000)

  it.each([
    ['nothing', /cannot read video .*nothing: no such file or folder/],
    ['empty', /the folder has no pictures \(PNG/],
    ['empty.gif', /not a folder of pictures, an animated GIF or an animated WebP/],
    ['film.mp4', /not a folder of pictures, an animated GIF/],
    ['text.gif', /not a folder of pictures, an animated GIF/],
    ['cut.gif', /cannot read video .*cut\.gif/],
    ['huge.webp', /its frames have 720 megapixels together, allowed: 256/],
    ['still.gif', /holds one picture: ask about it as an image/],
    ['big.gif', /513000000 bytes, allowed: 512000000/],
    ['large', /its frames have 270 megapixels together, allowed: 256/],
    ['broken', /cannot read image .*1\.png: not an image/],
  ])('%s', async (name, message) => {
    const failure = (await readVideo(file(name)).catch((error: Error) => error)) as Error
    expect(failure).toBeInstanceOf(Error)
    expect(failure.message).toMatch(message)
    expect(failure.message).not.toContain('\n')
  })

  it('a number of frames that is none', async () => {
    await expect(readVideo(file('clip.gif'), { frames: 0 })).rejects.toThrow(/^frames: got 0, allowed: an integer/)
  })
})
