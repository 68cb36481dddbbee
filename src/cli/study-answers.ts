import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { compareAnswers, noAnswers, type AnswerTotals, type StudyQuestion } from '../analysis/index.js'
import { ArgumentError, loadPruned, type LoadPrunedOptions } from '../index.js'
import { readImage } from '../node.js'
import { countProgress } from './count-progress.js'
import { demoModel } from './model-options.js'

/**
 * Reads questions, one JSON object a line with `image` and `question`, and spreads `most` of them evenly over the file.
 *
 * @param files The study's images; a question belongs to the one whose name ends like its `image`.
 * @throws ArgumentError for a file that cannot be read or has no question about any of the images.
 */
export async function readQuestions(file: string, most: number, files: readonly string[]): Promise<StudyQuestion[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new ArgumentError('--questions', file, 'a file that exists, one JSON object a line')
  })
  const byName = new Map(files.map((image) => [path.basename(image), image]))
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const all = lines.flatMap((line, i) => {
    const { image, question } = parseLine(file, line, i)
    const found = byName.get(path.basename(image))
    return found ? [{ image: found, question }] : []
  })
  if (all.length === 0) throw new ArgumentError('--questions', file, 'questions about the images of the study')
  const count = Math.min(most, all.length)
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)] as StudyQuestion)
}

function parseLine(file: string, line: string, index: number): StudyQuestion {
  try {
    const parsed = JSON.parse(line) as Partial<StudyQuestion>
    if (typeof parsed.image === 'string' && typeof parsed.question === 'string') return parsed as StudyQuestion
  } catch {
    // Said below.
  }
  throw new ArgumentError('--questions', `${file}, line ${index + 1}`, 'an object with "image" and "question"')
}

/** Loads the model and asks all questions. */
export async function measureAnswers(
  { model = 'demo', dtype, device }: { model?: string; dtype?: string; device?: string },
  questions: readonly StudyQuestion[],
  seed: number,
): Promise<AnswerTotals> {
  const options = { ...(dtype && { dtype }), ...(device && { device }) } as LoadPrunedOptions
  const loaded = await loadPruned(model === 'demo' ? demoModel : model, options)
  const totals = noAnswers()
  const progress = countProgress('asking', 0, questions.length)
  for (const { image, question } of questions) {
    await compareAnswers(loaded, await readImage(image), question, totals, seed)
    progress?.update(totals.questions)
  }
  progress?.stop()
  await loaded.model.dispose()
  return totals
}
