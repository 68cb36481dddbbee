import path from 'node:path'
import { calibrationOf, layersCsv, type AnswerTotals, type StudyNumbers } from '../analysis/index.js'
import { renderPng } from '../node.js'
import { barFigure, reportHtml, standalone, summaryFigures, type ReportFigure } from '../plots/index.js'
import { pictureFigures } from './study-pictures.js'
import type { StudyRun } from './study-run.js'
import { writeWhole } from './study-state.js'
import { encoderOf, factsOf, redundancyInWords } from './study-words.js'

/** A study with everything that its report shows. */
export interface FinishedStudy {
  readonly run: StudyRun
  readonly numbers: StudyNumbers
  readonly answers: AnswerTotals | null
  /** Images whose rank maps and kept tokens are drawn. */
  readonly pictures: number
}

/**
 * Draws all figures and writes the report. The page is written last: where it is, everything that it speaks of is there.
 *
 * @returns What study.json holds.
 */
export async function writeReport(out: string, { run, numbers, answers, pictures }: FinishedStudy): Promise<object> {
  const figures = [
    ...summaryFigures(numbers),
    ...redundancyFigures(numbers, answers),
    ...(await pictureFigures(run, numbers, pictures)),
  ]
  for (const { id, svg } of figures) {
    const file = standalone(svg)
    await writeWhole(path.join(out, 'figures', `${id}.svg`), `${file}\n`)
    await writeWhole(path.join(out, 'figures', `${id}.png`), renderPng(file))
  }
  const facts = factsOf(run)
  const result = { facts, encoder: encoderOf(run), numbers, answers }
  await writeWhole(path.join(out, 'layers.csv'), layersCsv(numbers))
  await writeWhole(path.join(out, 'study.json'), asJson(result))
  await writeWhole(path.join(out, 'calibration.json'), asJson(calibrationOf(run.encoder, numbers, run.seed)))
  const title = `Hierarchy study of ${run.encoder.file}`
  const page = reportHtml({ title, numbers, facts, figures, redundancy: redundancyInWords(numbers, answers) })
  await writeWhole(path.join(out, 'index.html'), page)
  return result
}

const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

function redundancyFigures({ neighbourSimilarity }: StudyNumbers, answers: AnswerTotals | null): ReportFigure[] {
  if (!answers) return []
  const similarity = [
    { name: 'visual tokens', value: neighbourSimilarity },
    { name: "question's tokens", value: answers.textSimilarity / answers.questions },
  ]
  const kept = [
    { name: 'without 50 % of visual tokens', value: answers.keptWithoutVisual / answers.questions },
    { name: 'without 5 % of text tokens', value: answers.keptWithoutText / answers.questions },
  ]
  return [
    {
      id: 'similarity',
      title: 'Redundancy: similarity to neighbours',
      caption:
        'Sum of cosine similarities of each token with 10 neighbours in sequence, mean; 10 would be equal tokens.',
      svg: barFigure('Similarity of tokens to their neighbours', similarity, 'sum of cosines', 10),
    },
    {
      id: 'answers-kept',
      title: 'Redundancy: answers that stay',
      caption: `Share of ${answers.questions} greedy answers that stay the same when tokens are dropped at random.`,
      svg: barFigure('Answers that stay the same', kept, 'share of answers', 1),
    },
  ]
}
