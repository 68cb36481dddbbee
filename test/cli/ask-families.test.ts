import { mkdtemp, rm, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { askCommand } from '../../src/cli/ask.js'
import { families } from '../families.js'

let temporary: string
let image: string
beforeAll(async () => {
  temporary = await mkdtemp(path.join(os.tmpdir(), 'hiprune-families-'))
  image = path.join(temporary, 'photo.png')
  const pixels = Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 37 + (i >> 6) * 11) % 256)
  await sharp(pixels, { raw: { width: 90, height: 70, channels: 3 } })
    .png()
    .toFile(image)
})
afterAll(() => rm(temporary, { recursive: true }))
afterEach(() => vi.restoreAllMocks())

/** What the command prints, run in this process. */
async function printed(...args: string[]): Promise<string> {
  const written: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  await askCommand()
    .exitOverride()
    .parseAsync(['node', 'hiprune', ...args])
  return written.join('')
}

interface Printed {
  visualTokens: number
  keptTokens: number
  newTokens: number
  promptTokens: number
  images: { kept: number[] }[]
}

it.each(families)('hiprune ask answers with $name', async (family) => {
  const folder = family.folder()
  const overlay = path.join(temporary, `${family.name}.png`)
  const args = [image, 'what is this ?', '--model', folder, '--keep', '1/3', '--max-tokens', '3']
  const answer = JSON.parse(await printed(...args, '--json', '--overlay', overlay)) as Printed
  expect(answer.newTokens).toBe(3)
  expect(answer.visualTokens).toBeGreaterThan(3)
  expect(answer.keptTokens).toBeGreaterThan(0)
  expect(answer.keptTokens).toBeLessThanOrEqual(Math.ceil(answer.visualTokens / 3))
  expect(answer.promptTokens).toBeGreaterThan(answer.keptTokens)
  expect(answer.images.flatMap(({ kept }) => kept)).toHaveLength(answer.keptTokens)
  expect((await stat(overlay)).size).toBeGreaterThan(1000)
})

it.each(families)('hiprune ask reads the question and two pictures with $name', async (family) => {
  const folder = family.folder()
  const args = [image, image, 'which is redder ?', '--model', folder, '--keep', '12', '--max-tokens', '2']
  const answer = JSON.parse(await printed(...args, '--method', 'hiprune++', '--json')) as Printed
  expect(answer.newTokens).toBe(2)
  expect(answer.images.length).toBeGreaterThanOrEqual(2)
  expect(answer.images.every(({ kept }) => kept.length >= 1)).toBe(true)
})
