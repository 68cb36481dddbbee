import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Calibration, StudyNumbers } from '../../src/analysis/index.js'
import { hiprune } from '../cli.js'
import { oracleRoot } from '../golden.js'

const model = `${oracleRoot}models/tiny-llava`
const clip = `${oracleRoot}models/tiny-clip-vit/onnx/vision_model.onnx`
let folder: string
let images: string
let masks: string
const file = (name: string) => path.join(folder, name)

interface StudyJson {
  numbers: StudyNumbers
  facts: Record<string, string>
  answers: { questions: number; keptWithoutVisual: number; shortened: number } | null
}

/** Six images of one square each, and their masks as black and white pictures. */
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hiprune-study-'))
  ;[images, masks] = [file('images'), file('masks')]
  for (const made of [images, masks, file('empty')]) await mkdir(made)
  for (let i = 0; i < 6; i++) {
    const at = { left: 8 * i, top: 56 - 8 * i }
    const square = (background: string) =>
      sharp({ create: { width: 40, height: 40, channels: 3, background } })
        .png()
        .toBuffer()
    const picture = sharp({
      create: { width: 112, height: 112, channels: 3, background: { r: 40 * i, g: 90, b: 120 } },
    })
    await picture
      .composite([{ input: await square('#ffdd33'), ...at }])
      .png()
      .toFile(path.join(images, `${i}.png`))
    const mask = sharp({ create: { width: 112, height: 112, channels: 3, background: '#000000' } })
    await mask
      .composite([{ input: await square('#ffffff'), ...at }])
      .toColourspace('b-w')
      .png()
      .toFile(path.join(masks, `${i}.png`))
  }
})
afterAll(() => rm(folder, { recursive: true }))

const filesBelow = async (place: string) => (await readdir(place, { recursive: true })).sort()

describe('hiprune study', () => {
  it('writes the page, every figure as SVG and PNG, and the numbers, and prints the same numbers', async () => {
    const out = file('report')
    const { code, stdout, stderr } = await hiprune(
      'study',
      images,
      '--model',
      model,
      '--masks',
      masks,
      '-o',
      out,
      '--pictures',
      '1',
      '--json',
    )
    expect([code, stderr]).toEqual([0, ''])
    const figures = ['dispersion', 'iou-relative', 'iou', 'kept-0', 'layer-map', 'ranks-0', 'tokens-0']
    const pairs = figures.flatMap((id) => [`figures/${id}.png`, `figures/${id}.svg`])
    expect(await filesBelow(out)).toEqual([
      'calibration.json',
      'figures',
      ...pairs,
      'index.html',
      'layers.csv',
      'state.json',
      'study.json',
    ])
    expect(await readFile(path.join(out, 'study.json'), 'utf8')).toBe(stdout)
    const { numbers, facts } = JSON.parse(stdout) as StudyJson
    expect(numbers).toMatchObject({ images: 6, depth: 11, iou: { images: 6 } })
    expect(numbers.iou!.best).toBeLessThanOrEqual(1)
    expect(facts).toMatchObject({ seed: '0', images: '6, of which 6 with objects under masks' })
    const html = await readFile(path.join(out, 'index.html'), 'utf8')
    for (const id of figures) expect(html).toContain(`<figure id="${id}"`)
  })

  it('a random encoder does not show the pattern, and gets the fallback', async () => {
    const { stdout } = await hiprune(
      'study',
      images,
      '--encoder',
      clip,
      '--masks',
      masks,
      '-o',
      file('random'),
      '--pictures',
      '1',
      '--json',
    )
    const { findings, layers, phases } = (JSON.parse(stdout) as StudyJson).numbers
    expect([findings.objectsInTheMiddle!.shows, findings.globalInTheDeep.shows]).toEqual([false, false])
    expect(layers).toMatchObject({ method: 'fallback', objectLayer: 4 })
    expect(phases).toBeNull()
  })

  it('goes on where it was stopped, and ends as if it had not been', async () => {
    const broken = file('broken')
    await cp(images, broken, { recursive: true })
    await writeFile(path.join(broken, '4.png'), 'no picture')
    const args = (place: string, out: string) => [
      'study',
      place,
      '--model',
      model,
      '--masks',
      masks,
      '-o',
      file(out),
      '--pictures',
      '1',
    ]
    const stopped = await hiprune(...args(broken, 'resumed'))
    expect([stopped.code, stopped.stdout]).toEqual([1, ''])
    expect(stopped.stderr).toMatch(/^error: cannot read image [^\n]*4\.png: not an image[^\n]*\n$/)
    expect(await filesBelow(file('resumed'))).toEqual(['state.json'])
    await cp(path.join(images, '4.png'), path.join(broken, '4.png'))
    const resumed = await hiprune(...args(broken, 'resumed'), '--json')
    const whole = await hiprune(...args(images, 'whole'), '--json')
    const [a, b] = [resumed, whole].map(({ stdout }) => JSON.parse(stdout) as StudyJson)
    expect(a!.numbers).toEqual(b!.numbers)
    expect(a!.facts['time']).toMatch(/^2 images in /)
    expect(b!.facts['time']).toMatch(/^6 images in /)
  })

  it('asks questions to measure redundancy, the same ones dropped for the same seed', async () => {
    const questions = file('questions.jsonl')
    const lines = [0, 1, 2, 3].map((i) =>
      JSON.stringify({ image: `images/${i}.png`, question: `What is the number of red circles in ${i} ?` }),
    )
    await writeFile(questions, `${lines.join('\n')}\n`)
    const args = [
      'study',
      images,
      '--model',
      model,
      '-o',
      file('asked'),
      '--pictures',
      '1',
      '--questions',
      questions,
      '--json',
    ]
    const [first, second] = [await hiprune(...args), await hiprune(...args)].map(
      ({ stdout }) => JSON.parse(stdout) as StudyJson,
    )
    expect(first!.answers).toMatchObject({ questions: 4 })
    expect(first!.answers!.shortened).toBeGreaterThan(0)
    expect(second!.answers).toEqual(first!.answers)
    expect(await filesBelow(path.join(file('asked'), 'figures'))).toContain('answers-kept.svg')
  })
})

describe('hiprune calibrate', () => {
  it('writes a calibration that ask takes for this encoder and refuses for another', async () => {
    const out = file('calibration.json')
    const { code, stdout } = await hiprune('calibrate', images, '--model', model, '--masks', masks, '-o', out, '--json')
    expect(code).toBe(0)
    const calibration = JSON.parse(await readFile(out, 'utf8')) as Calibration
    expect(JSON.parse(stdout)).toEqual(calibration)
    expect(calibration).toMatchObject({
      version: 1,
      deepLayer: 11,
      images: 6,
      encoder: { file: 'vision_encoder.onnx' },
    })
    expect(calibration.dispersion).toHaveLength(11)
    expect(calibration.iou!.mean).toHaveLength(11)
    expect(await filesBelow(folder)).not.toContain('calibration.json.state')
    const ask = (name: string) =>
      hiprune(
        'ask',
        path.join(images, '0.png'),
        'what ?',
        '--model',
        name,
        '--calibration',
        out,
        '--max-tokens',
        '1',
        '--json',
      )
    expect((await ask(model)).code).toBe(0)
    const other = await ask('demo')
    expect([other.code, other.stdout]).toEqual([2, ''])
    expect(other.stderr).toMatch(
      /^error: calibration: got "one for encoder \w{12}, 11 layers", allowed: one for this encoder[^\n]*\n$/,
    )
  })

  it('in words: the layer, the reason, how sure, and the curve', async () => {
    const { stdout } = await hiprune('calibrate', images, '--encoder', clip, '-o', file('words.json'))
    expect(stdout).toMatch(/^vision_model\.onnx: object layer 4, deep layer 12 \(6 images\)\nno (sure )?jump: /)
    expect(stdout.match(/^ +\d+ +[\d.]+ #+/gm)).toHaveLength(12)
  })
})

describe('masks', () => {
  it.each([
    ['grey labels with a void value', 'b-w', 8, ['0,200'], 0.128],
    ['16 bits a label', 'grey16', 16, ['0'], 0.128],
  ] as const)('%s', async (name, space, bits, [background], share) => {
    const place = file(`masks-${bits}`)
    await mkdir(place)
    for (let i = 0; i < 6; i++) {
      // Label 3 on the square; as 16 bits it would be lost if it were scaled to 8.
      const { data, info } = await sharp(path.join(masks, `${i}.png`))
        .toColourspace('b-w')
        .raw()
        .toBuffer({ resolveWithObject: true })
      const labels = Uint16Array.from({ length: info.width * info.height }, (_, k) =>
        data[k * info.channels]! > 0 ? 3 : bits === 8 && k < 112 ? 200 : 0,
      )
      const raw = bits === 8 ? Uint8Array.from(labels) : labels
      await sharp(raw, { raw: { width: 112, height: 112, channels: 1 } })
        .toColourspace(space)
        .png()
        .toFile(path.join(place, `${i}.png`))
    }
    const { stdout } = await hiprune(
      'study',
      images,
      '--model',
      model,
      '--masks',
      place,
      '--mask-background',
      background,
      '-o',
      file(`r-${name}`),
      '--pictures',
      '1',
      '--json',
    )
    const { iou } = (JSON.parse(stdout) as StudyJson).numbers
    // 40 x 40 of 112 x 112 pixels; whole cells of 14 pixels that are at least half covered.
    expect(Math.abs(iou!.objectShare - share)).toBeLessThan(0.03)
  })

  it("COCO's annotations give the same overlap as mask files of the same squares", async () => {
    const square = (i: number) => {
      const [x, y] = [8 * i, 56 - 8 * i]
      return [[x, y, x + 40, y, x + 40, y + 40, x, y + 40]]
    }
    const numbers = [0, 1, 2, 3, 4, 5]
    const coco = {
      images: numbers.map((id) => ({ id, file_name: `${id}.png`, width: 112, height: 112 })),
      annotations: numbers.map((id) => ({ image_id: id, segmentation: square(id) })),
    }
    await writeFile(file('instances.json'), JSON.stringify(coco))
    const run = (...args: string[]) => hiprune('study', images, '--model', model, ...args, '--pictures', '1', '--json')
    const a = await run('--coco', file('instances.json'), '-o', file('coco'))
    const b = await run('--masks', masks, '-o', file('files'))
    const [fromCoco, fromFiles] = [a, b].map(({ stdout }) => (JSON.parse(stdout) as StudyJson).numbers.iou)
    expect(fromCoco).toEqual(fromFiles)
  })
})

describe('bad input: one line, nothing on stdout, nothing left behind', () => {
  const cases: [string, () => string[], number, RegExp][] = [
    ['a folder without images', () => [file('empty')], 2, /images: got ".*empty", allowed: a folder with images/],
    ['no such file', () => [file('no.png')], 2, /images: got ".*no\.png", allowed: image files and folders that exist/],
    ['no arguments', () => [], 2, /missing required argument/],
    [
      'masks without a partner',
      () => [images, '--masks', file('empty')],
      2,
      /--masks: got ".*empty", allowed: a mask for every image, 0\.png for /,
    ],
    [
      'masks in no folder',
      () => [images, '--masks', file('no')],
      2,
      /--masks: got ".*no", allowed: a folder that exists/,
    ],
    [
      'masks of another size',
      () => [images, '--masks', file('small')],
      2,
      /masks: got "50 x 112 pixels for .*0\.png", allowed: 112 x 112/,
    ],
    [
      'a mask that is no image',
      () => [images, '--masks', file('text')],
      2,
      /--masks: got ".*0\.png", allowed: a mask image/,
    ],
    ['two kinds of masks', () => [images, '--masks', masks, '--coco', 'x.json'], 2, /either --masks or --coco/],
    [
      'labels that are none',
      () => [images, '--masks', masks, '--mask-background', 'sky'],
      2,
      /--mask-background: got "sky"/,
    ],
    [
      'annotations that are none',
      () => [images, '--coco', path.join(model, 'config.json')],
      2,
      /coco: got .*"images" and "annotations"/,
    ],
    [
      'annotations of other images',
      () => [images, '--coco', file('other.json')],
      2,
      /--coco: got .*annotations that list every image, also 0\.png/,
    ],
    ['no JSON', () => [images, '--coco', path.join(images, '0.png')], 2, /--coco: got .*a JSON file/],
    [
      'an encoder without self-attention',
      () => [images, '--encoder', `${model}/onnx/embed_tokens.onnx`],
      1,
      /embed_tokens\.onnx cannot be studied: no self-attention over patches/,
    ],
    [
      'an encoder file that is none',
      () => [images, '--encoder', path.join(images, '0.png')],
      1,
      /not a (readable|usable) ONNX/,
    ],
    [
      'no encoder file',
      () => [images, '--encoder', file('no.onnx')],
      2,
      /--encoder: got ".*no\.onnx", allowed: an ONNX file that exists/,
    ],
    ['an encoder and a model', () => [images, '--encoder', clip, '--model', model], 2, /either --model or --encoder/],
    ['no model', () => [images, '--model', file('empty')], 1, /cannot load .*empty/],
    ['pixels of a model', () => [images, '--mean', '0,0,0'], 2, /nothing with --model/],
    ['two means', () => [images, '--encoder', clip, '--mean', '0,0'], 2, /--mean: got "0,0", allowed: three numbers/],
    ['another size', () => [images, '--encoder', clip, '--image-size', '64'], 2, /imageSize: got 64, allowed: 112/],
    ['no memory', () => [images, '--tap-memory', '0'], 2, /--tap-memory: got "0"/],
    [
      'questions without a model',
      () => [images, '--encoder', clip, '--questions', 'x'],
      2,
      /--questions: got "x", allowed: nothing with --encoder/,
    ],
    ['no questions', () => [images, '--questions', file('no.jsonl')], 2, /--questions: got .*a file that exists/],
  ]
  beforeAll(async () => {
    for (const name of ['small', 'text']) await mkdir(file(name))
    for (let i = 0; i < 6; i++) {
      await sharp(path.join(masks, `${i}.png`))
        .resize(50, 112, { fit: 'fill' })
        .toFile(path.join(file('small'), `${i}.png`))
      await writeFile(path.join(file('text'), `${i}.png`), 'text')
    }
    await writeFile(file('other.json'), JSON.stringify({ images: [], annotations: [] }))
  })

  it.each(cases)('%s', async (_, args, code, message) => {
    const before = await filesBelow(folder)
    const result = await hiprune('study', ...args(), '-o', file('never'))
    expect(result.stderr).toMatch(message)
    expect(result.stderr).toMatch(/^error: [^\n]*\n$/)
    expect([result.code, result.stdout]).toEqual([code, ''])
    expect(await filesBelow(folder)).toEqual(before)
  })

  it('--help has an example', async () => {
    for (const name of ['study', 'calibrate'])
      expect((await hiprune(name, '--help')).stdout).toMatch(/Examples?:\n {2}hiprune /)
  })
})
