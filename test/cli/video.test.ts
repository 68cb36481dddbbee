import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hiprune, repository } from '../cli.js'

const models = path.join(repository, 'test/fixtures')
const videoLlava = path.join(models, 'tiny-video-llava')
interface JsonAnswer {
  visualTokens: number
  keptTokens: number
  images: { grid: { rows: number }; kept: number[] }[]
}

let folder: string
let gif: string
let frames: string
let photo: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-video-'))
  gif = path.join(folder, 'clip.gif')
  frames = path.join(folder, 'frames')
  photo = path.join(folder, 'photo.png')
  const noise = (sigma: number) =>
    sharp({
      create: {
        width: 64,
        height: 48,
        channels: 3,
        background: 'teal',
        noise: { type: 'gaussian', mean: 128, sigma },
      },
    })
      .png()
      .toBuffer()
  const pictures = await Promise.all([5, 10, 20, 30, 40, 50, 60, 70, 80, 90].map(noise))
  await sharp(pictures, { join: { animated: true } })
    .gif()
    .toFile(gif)
  await mkdir(frames)
  for (const [i, bytes] of pictures.entries()) await writeFile(path.join(frames, `${i}.png`), bytes)
  await writeFile(photo, pictures[0]!)
}, 60_000)
afterAll(() => rm(folder, { recursive: true }))

const answerOf = async (...args: string[]) => {
  const { code, stdout, stderr } = await hiprune('ask', ...args, '--max-tokens', '3', '--json')
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return JSON.parse(stdout) as JsonAnswer
}

describe('hiprune ask --video', () => {
  it('asks Video-LLaVA about eight frames of an animation, K shared evenly among them', async () => {
    const answer = await answerOf('--video', gif, '--model', videoLlava, '--keep', '40', 'what happens ?')
    expect(answer.visualTokens).toBe(8 * 36)
    expect(answer.images.map(({ kept }) => kept.length)).toEqual(Array<number>(8).fill(5))
  })

  it('takes as many frames as asked for, and an image before the video', async () => {
    const args = ['--video', frames, '--frames', '3', '--model', videoLlava, '--keep', '9', '--split', 'complexity']
    const answer = await answerOf(...args, photo, 'what happens ?')
    const kept = answer.images.map((image) => image.kept.length)
    expect(kept).toHaveLength(4)
    expect([kept[0], kept[1]! + kept[2]! + kept[3]!]).toEqual([9, 9])
  })

  it('packs frames in pairs for Qwen2.5-VL, an odd one with itself', async () => {
    const qwen = path.join(models, 'oracle/models/tiny-qwen2.5-vl')
    const answer = await answerOf('--video', frames, '--frames', '5', '--model', qwen, 'what happens ?')
    expect(answer.images).toHaveLength(3)
    expect(new Set(answer.images.map(({ grid }) => grid.rows)).size).toBe(1)
  })

  it('--overlay draws every frame, --compare both answers', async () => {
    const out = path.join(folder, 'kept.png')
    const args = ['--video', gif, '--frames', '4', '--model', videoLlava, '--compare', '--repeat', '1']
    const { code, stdout } = await hiprune('ask', ...args, '--overlay', out, 'what happens ?')
    expect(code).toBe(0)
    expect(stdout).toContain('visual tokens')
    const { width, height } = await sharp(out).metadata()
    expect(width / height).toBeGreaterThan(4)
  })

  const refused: [string, () => string[], number, RegExp][] = [
    ['a model of one image', () => ['--video', gif, 'q'], 1, /^error: model_type "llava" takes images only, so it cannot be asked about a video \(videos: video_llava/], // prettier-ignore
    ['no video', () => ['--video', path.join(folder, 'no.gif'), 'q'], 1, /no\.gif: no such file or folder/],
    ['a picture', () => ['--video', photo, 'q'], 1, /not a folder of pictures, an animated GIF/],
    ['no question', () => ['--video', gif], 2, /missing required argument/],
    ['0 frames', () => ['--video', gif, '--frames', '0', 'q'], 2, /--frames: got "0", allowed: an integer from 1/],
    ['another split', () => [photo, '--split', 'fair', 'q'], 2, /split: got "fair", allowed: 'even', 'complexity'/],
    ['downscaling a video', () => ['--video', gif, '--method', 'downscale', '--model', path.join(models, 'oracle/models/tiny-qwen2.5-vl'), 'q'], 2, /method: got "downscale", allowed: a selection method for a video/], // prettier-ignore
  ]
  it.each(refused)('refuses %s in one line', async (_, args, code, message) => {
    const result = await hiprune('ask', ...args())
    expect(result.stderr).toMatch(message)
    expect(result.stderr).toMatch(/^error: [^\n]*\n$/)
    expect(result).toMatchObject({ code, stdout: '' })
  })
})
