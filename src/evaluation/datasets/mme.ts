import { ArgumentError } from '../../errors.js'
import { SHORT_ANSWER, type Example } from './example.js'
import type { DataFile } from './rows.js'

/** The benchmark's 14 folders. */
export const mmePerception = [
  'existence',
  'count',
  'position',
  'color',
  'posters',
  'celebrity',
  'scene',
  'landmark',
  'artwork',
  'OCR',
] as const
export const mmeCognition = [
  'commonsense_reasoning',
  'numerical_calculation',
  'text_translation',
  'code_reasoning',
] as const

/** What the benchmark puts behind each question; LLaVA and lmms-eval replace it by their own words. */
const OWN_SUFFIX = / ?Please answer yes or no\.$/

/**
 * MME: a text file a picture in its category's folder, with two lines `question<TAB>Yes|No`. Pictures lie beside the text or
 * in `images/`, texts sometimes in `questions_answers_YN/`.
 *
 * @param files Named by their path below the benchmark's folder, e.g. `existence/000000006040.txt`.
 * @param pictures Paths of all pictures below the same folder.
 */
export function readMme(files: readonly DataFile[], pictures: readonly string[]): Example[] {
  const known: ReadonlySet<string> = new Set([...mmePerception, ...mmeCognition])
  const byStem = new Map(pictures.map((path) => [stemOf(path), path]))
  const examples = files.flatMap((file) => {
    const category = file.name.split('/')[0] as string
    if (!known.has(category)) return []
    const path = byStem.get(stemOf(file.name))
    if (path === undefined) throw new ArgumentError(file.name, 'no picture', `a picture of this name in ${category}/`)
    const lines = file.text.split(/\r?\n/).filter((line) => line.trim() !== '')
    if (lines.length !== 2) throw new ArgumentError(file.name, `${lines.length} lines`, 'two questions, a line each')
    return lines.map((line, i) => exampleOf(file.name, i, line, category, path))
  })
  if (examples.length === 0)
    throw new ArgumentError(
      'mme',
      'a folder without its categories',
      `folders such as ${mmePerception[0]}/ with text files`,
    )
  return examples
}

function exampleOf(file: string, index: number, line: string, category: string, path: string): Example {
  const [text = '', label = '', ...more] = line.split('\t')
  const answer = label.trim().toLowerCase()
  if (text.trim() === '' || more.length > 0 || (answer !== 'yes' && answer !== 'no'))
    throw new ArgumentError(`${file}, line ${index + 1}`, line, 'a question, a tab, and Yes or No')
  const question = text.trim().replace(OWN_SUFFIX, '')
  const id = `${category}/${path.split('/').at(-1)}`
  return {
    id: `${id}/${index + 1}`,
    imageKey: path,
    image: { path },
    question,
    prompt: question + SHORT_ANSWER,
    type: category,
    answers: [answer],
    group: id,
    llavaId: id,
    doc: { question_id: id, question: text.trim(), answer: answer === 'yes' ? 'Yes' : 'No', category },
  }
}

/** Category and file name without folders in between and without ending. */
function stemOf(path: string): string {
  const parts = path.split('/')
  return `${parts[0]}/${(parts.at(-1) as string).replace(/\.\w+$/, '')}`
}
