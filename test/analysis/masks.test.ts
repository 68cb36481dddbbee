import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { objectTokens, readCoco, tokenCoverage, type ObjectMask } from '../../src/analysis/index.js'
import { paintPolygon } from '../../src/analysis/polygon.js'
import { paintRunLengths } from '../../src/analysis/rle.js'

/** A mask from its picture: '#' is object. */
function maskOf(...lines: string[]): ObjectMask {
  const data = Uint8Array.from(lines.join(''), (character) => (character === '#' ? 1 : 0))
  return { width: lines[0]!.length, height: lines.length, data }
}
function drawn({ width, data }: ObjectMask): string[] {
  const text = Array.from(data, (value) => (value ? '#' : '.')).join('')
  return text.match(new RegExp(`.{${width}}`, 'g')) ?? []
}
const empty = (width: number, height: number) => ({ width, height, data: new Uint8Array(width * height) })
const whole = ({ width, height }: ObjectMask) => ({ x: 0, y: 0, width, height })

describe('tokenCoverage', () => {
  it('is the share of the cell, also where a pixel is cut by a border', () => {
    const mask = maskOf('##.', '...', '...')
    expect([...tokenCoverage(mask, whole(mask), { rows: 1, columns: 1 })]).toEqual([2 / 9])
    const halves = tokenCoverage(mask, whole(mask), { rows: 1, columns: 2 })
    expect(halves[0]).toBeCloseTo(1.5 / 4.5, 12)
    expect(halves[1]).toBeCloseTo(0.5 / 4.5, 12)
  })

  it('looks only at the part that the encoder sees', () => {
    const mask = maskOf('#..#', '#..#')
    expect([...tokenCoverage(mask, { x: 1, y: 0, width: 2, height: 2 }, { rows: 1, columns: 2 })]).toEqual([0, 0])
    expect([...tokenCoverage(mask, { x: 2, y: 0, width: 2, height: 2 }, { rows: 1, columns: 2 })]).toEqual([0, 1])
  })

  it('equals counting in a picture enlarged until cells and pixels line up', () => {
    const pictures = fc.array(fc.constantFrom(0, 1), { minLength: 30, maxLength: 30 })
    fc.assert(
      fc.property(pictures, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), (pixels, rows, columns) => {
        const mask = { width: 6, height: 5, data: Uint8Array.from(pixels) }
        const coverage = tokenCoverage(mask, whole(mask), { rows, columns })
        // Each pixel becomes columns x rows points, so that a cell holds 6 x 5 of them.
        const sums = new Float64Array(rows * columns)
        for (let y = 0; y < 5 * rows; y++) {
          for (let x = 0; x < 6 * columns; x++) {
            const token = Math.floor(y / 5) * columns + Math.floor(x / 6)
            sums[token] = sums[token]! + mask.data[Math.floor(y / rows) * 6 + Math.floor(x / columns)]! / 30
          }
        }
        coverage.forEach((value, token) => expect(value).toBeCloseTo(sums[token]!, 9))
      }),
    )
  })

  it('half of a cell is enough to be an object token, less is not', () => {
    const mask = maskOf('##..#...', '##..#...', '......#.', '......##')
    expect([...objectTokens(mask, whole(mask), { rows: 2, columns: 4 })]).toEqual([1, 0, 1, 0, 0, 0, 0, 1])
  })
})

describe('COCO polygons', () => {
  it('fill the pixels whose centre is inside', () => {
    const mask = empty(6, 4)
    paintPolygon([1, 1, 4, 1, 4, 3, 1, 3], mask)
    expect(drawn(mask)).toEqual(['......', '.###..', '.###..', '......'])
  })

  it('triangles, concave shapes and corners outside of the image', () => {
    const triangle = empty(5, 4)
    paintPolygon([0, 0, 4, 0, 0, 4], triangle)
    expect(drawn(triangle)).toEqual(['###..', '##...', '#....', '.....'])
    const horseshoe = empty(5, 3)
    paintPolygon([0, 0, 5, 0, 5, 3, 4, 3, 4, 1, 1, 1, 1, 3, 0, 3], horseshoe)
    expect(drawn(horseshoe)).toEqual(['#####', '#...#', '#...#'])
    const outside = empty(3, 2)
    paintPolygon([-5, -5, 9, -5, 9, 1, -5, 1], outside)
    expect(drawn(outside)).toEqual(['###', '...'])
  })
})

describe('COCO run lengths', () => {
  it('run down the columns, background first', () => {
    const mask = empty(3, 2)
    paintRunLengths({ size: [2, 3], counts: [1, 2, 2, 1] }, mask)
    expect(drawn(mask)).toEqual(['.#.', '#.#'])
  })

  it('compressed: small runs, runs over 31, differences from the fourth on', () => {
    // 2, 3, 1, then 1 - 3 = -2, whose five bits are 11110.
    const mask = empty(7, 1)
    paintRunLengths({ size: [1, 7], counts: '231N' }, mask)
    expect(drawn(mask)).toEqual(['..###.#'])
    // 40 = 8 + 1 * 32: 'X' says that more follows.
    const long = empty(48, 1)
    paintRunLengths({ size: [1, 48], counts: 'X18' }, long)
    expect(drawn(long)).toEqual([`${'.'.repeat(40)}${'#'.repeat(8)}`])
  })

  it('compressed and plain give the same mask', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 12 }), (counts) => {
        const pixels = counts.reduce((sum, run) => sum + run, 0)
        if (pixels === 0) return
        const [plain, packed] = [empty(1, pixels), empty(1, pixels)]
        paintRunLengths({ size: [pixels, 1], counts }, plain)
        paintRunLengths({ size: [pixels, 1], counts: compress(counts) }, packed)
        expect(packed.data).toEqual(plain.data)
      }),
    )
  })

  it('refuses runs that do not fill the image, another size, and characters that are none', () => {
    expect(() => paintRunLengths({ size: [2, 3], counts: [1, 2] }, empty(3, 2))).toThrow(
      /runs cover 3 pixels, the image has 6/,
    )
    expect(() => paintRunLengths({ size: [2, 3], counts: [1, 20] }, empty(3, 2))).toThrow(/leaves the image/)
    expect(() => paintRunLengths({ size: [3, 2], counts: [6] }, empty(3, 2))).toThrow(
      /run lengths are for 2 x 3 pixels/,
    )
    expect(() => paintRunLengths({ size: [2, 3], counts: ' ' }, empty(3, 2))).toThrow(/character 0/)
    expect(() => paintRunLengths({ size: [2, 3], counts: 'X' }, empty(3, 2))).toThrow(RangeError)
  })
})

describe('readCoco', () => {
  const image = { id: 7, file_name: 'a.jpg', width: 3, height: 2 }
  const annotation = (segmentation: unknown) => ({ image_id: 7, segmentation })

  it('unites all objects of an image, in every form', () => {
    const annotations = [
      annotation([[0, 0, 1, 0, 1, 1, 0, 1]]),
      annotation({ size: [2, 3], counts: [3, 1, 2] }),
      annotation({ size: [2, 3], counts: '51' }),
      { image_id: 8, segmentation: [[0, 0, 3, 0, 3, 2, 0, 2]] },
    ]
    const instances = readCoco({ images: [image, { ...image, id: 9, file_name: 'empty.jpg' }], annotations })
    expect(drawn(instances.maskOf('a.jpg')!)).toEqual(['#..', '.##'])
    expect(drawn(instances.maskOf('empty.jpg')!)).toEqual(['...', '...'])
    expect(instances.maskOf('b.jpg')).toBeUndefined()
    expect([instances.has('a.jpg'), instances.has('b.jpg')]).toEqual([true, false])
  })

  it('refuses files that are something else, and segmentations of another size', () => {
    expect(() => readCoco({ images: [] })).toThrow(/^coco: .*"images" and "annotations"/)
    expect(() => readCoco(null)).toThrow(/^coco: /)
    const bad = readCoco({ images: [image], annotations: [annotation({ size: [5, 5], counts: [25] })] })
    expect(() => bad.maskOf('a.jpg')).toThrow(
      /^coco: got "a.jpg", .*run lengths are for 5 x 5 pixels, the image has 3 x 2/,
    )
  })
})

/** The other direction of COCO's compression, written from its description. */
function compress(counts: readonly number[]): string {
  return counts
    .map((count, i) => {
      let value = i > 2 ? count - counts[i - 2]! : count
      let text = ''
      for (let more = true; more;) {
        const low = value & 31
        value >>= 5
        more = low & 16 ? value !== -1 : value !== 0
        text += String.fromCharCode((more ? low | 32 : low) + 48)
      }
      return text
    })
    .join('')
}
