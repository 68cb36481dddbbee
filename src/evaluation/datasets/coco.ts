import { readCoco, type ObjectMask } from '../../analysis/index.js'
import type { Example } from './example.js'
import { jsonEntries, parsedDocument, type DataFile } from './rows.js'

/** Pictures with objects instead of questions: how many of the kept tokens lie on objects. */
export interface MaskedExamples {
  readonly examples: Example[]
  readonly maskOf: (example: Example) => ObjectMask
}

/** COCO: `instances_val2017.json`, {images, annotations with polygons or run lengths}; its captions are not read. */
export function readCocoMasks([file]: readonly DataFile[]): MaskedExamples {
  const instances = readCoco(parsedDocument(file as DataFile))
  const examples = jsonEntries(file as DataFile, 'images').map(([, row]) => {
    const path = row.imagePath('file_name')
    row.integer('width', 1, 100_000)
    row.integer('height', 1, 100_000)
    const id = row.id('id')
    return {
      id,
      imageKey: path,
      image: { path },
      question: '',
      prompt: '',
      type: 'objects',
      answers: [],
      llavaId: Number(id),
      doc: { id },
    }
  })
  const nameOf = ({ image }: Example) => ('path' in image ? (image.path.split('/').at(-1) as string) : '')
  return { examples, maskOf: (example) => instances.maskOf(nameOf(example)) as ObjectMask }
}
