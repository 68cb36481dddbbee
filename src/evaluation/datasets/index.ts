import { ArgumentError } from '../../errors.js'
import type { ObjectMask } from '../../analysis/index.js'
import { llavaChoice, lmmsChoice, localMmBench } from '../metrics/choice.js'
import { llavaExact, lmmsExact, plainExact } from '../metrics/exact.js'
import { lmmsMme, officialMme } from '../metrics/mme.js'
import { objectIou } from '../metrics/objects.js'
import type { Rule } from '../metrics/rule.js'
import { lmmsVqa, officialVqa, pythiaVqa } from '../metrics/vqa.js'
import { llavaPope, lmmsPope } from '../metrics/yes-no.js'
import { readCocoMasks } from './coco.js'
import type { Example } from './example.js'
import { readGqa } from './gqa.js'
import { readMmBench } from './mmbench.js'
import { readMme } from './mme.js'
import { readPlain } from './plain.js'
import { readPope } from './pope.js'
import type { DataFile } from './rows.js'
import { readScienceQa } from './scienceqa.js'
import { readTextVqa } from './textvqa.js'
import { readVizWiz, readVqaV2 } from './vqa.js'

/** A data set that can be evaluated. */
export interface DataSetInfo {
  readonly title: string
  /** What `--data name=...` takes. */
  readonly files: string
  /** The name of the same task in lmms-eval, which its samples files carry. */
  readonly lmmsTask: string
  /** By name; the first is the one that tables show. */
  readonly rules: Readonly<Record<string, Rule>>
  /** Files are a folder with texts and pictures. */
  readonly isFolder?: boolean
}

/** A data set as read from its files. */
export interface DataSet {
  readonly name: DataSetName
  readonly examples: readonly Example[]
  /** Of sets with objects instead of questions. */
  readonly maskOf?: (example: Example) => ObjectMask
}

const sets = {
  pope: {
    title: 'POPE',
    files: 'coco_pope_random.json,coco_pope_popular.json,coco_pope_adversarial.json',
    lmmsTask: 'pope',
    rules: { llava: llavaPope, 'lmms-eval': lmmsPope },
  },
  gqa: {
    title: 'GQA',
    files: 'testdev_balanced_questions.json',
    lmmsTask: 'gqa',
    rules: { llava: llavaExact, 'lmms-eval': lmmsExact },
  },
  textvqa: {
    title: 'TextVQA',
    files: 'TextVQA_0.5.1_val.json[,TextVQA_Rosetta_OCR_v0.2_val.json]',
    lmmsTask: 'textvqa_val',
    rules: { llava: pythiaVqa, 'lmms-eval': pythiaVqa },
  },
  vqav2: {
    title: 'VQAv2',
    files: 'v2_OpenEnded_mscoco_val2014_questions.json,v2_mscoco_val2014_annotations.json',
    lmmsTask: 'vqav2_val',
    rules: { llava: officialVqa, 'lmms-eval': lmmsVqa },
  },
  vizwiz: {
    title: 'VizWiz',
    files: 'val.json',
    lmmsTask: 'vizwiz_vqa_val',
    rules: { llava: officialVqa, 'lmms-eval': pythiaVqa },
  },
  scienceqa: {
    title: 'ScienceQA-IMG',
    files: 'problems.json,pid_splits.json',
    lmmsTask: 'scienceqa_img',
    rules: { llava: llavaChoice, 'lmms-eval': lmmsChoice },
  },
  mme: {
    title: 'MME',
    files: 'the folder with its 14 categories',
    lmmsTask: 'mme',
    rules: { llava: officialMme, 'lmms-eval': lmmsMme },
    isFolder: true,
  },
  mmbench: {
    title: 'MMBench (dev)',
    files: 'mmbench_dev.tsv',
    lmmsTask: 'mmbench_en_dev',
    rules: { letter: localMmBench },
  },
  coco: { title: 'COCO objects', files: 'instances_val2017.json', lmmsTask: 'coco_objects', rules: { iou: objectIou } },
  jsonl: {
    title: 'questions of your own',
    files: 'questions.jsonl with {image, question, answers, type} a line',
    lmmsTask: 'jsonl',
    rules: { exact: plainExact },
  },
} as const satisfies Record<string, DataSetInfo>

export type DataSetName = keyof typeof sets

/** Facts of every data set by its name on the command line. */
export const dataSets: Readonly<Record<DataSetName, DataSetInfo>> = sets

const readers: Readonly<Record<Exclude<DataSetName, 'mme' | 'coco'>, (files: readonly DataFile[]) => Example[]>> = {
  pope: readPope,
  gqa: readGqa,
  textvqa: readTextVqa,
  vqav2: readVqaV2,
  vizwiz: readVizWiz,
  scienceqa: readScienceQa,
  mmbench: readMmBench,
  jsonl: readPlain,
}

/** @throws ArgumentError for an unknown name; the message lists the known ones. */
export function dataSetName(name: string): DataSetName {
  if (!Object.hasOwn(dataSets, name)) throw new ArgumentError('--data', name, Object.keys(dataSets).join(', '))
  return name as DataSetName
}

/**
 * Reads a data set from its files' contents.
 *
 * @param pictures Paths of the pictures beside the files, for sets whose questions do not name theirs (MME).
 * @throws ArgumentError that names file and line of a row that is not as published.
 */
export function readDataSet(name: DataSetName, files: readonly DataFile[], pictures: readonly string[] = []): DataSet {
  if (name === 'coco') return { name, ...readCocoMasks(files) }
  return { name, examples: name === 'mme' ? readMme(files, pictures) : readers[name](files) }
}
