import { masksInWords, type AnswerTotals, type StudyNumbers } from '../analysis/index.js'
import { machineInWords } from './machine.js'
import type { StudyRun } from './study-run.js'

/** What identifies the encoder of a study. */
export function encoderOf({ encoder }: StudyRun) {
  const { file, sha256, info } = encoder
  return { file, sha256, family: info.family, dtype: info.dtype, layers: info.layers.length, width: info.width ?? null }
}

/** What the numbers of a study depend on, in words. */
export function factsOf({ encoder, files, seed, measured, measuredMs, totals }: StudyRun): Record<string, string> {
  const { info } = encoder
  return {
    encoder: `${encoder.file}, ${info.layers.length} layers, ${info.family}, ${info.dtype}`,
    'SHA-256': encoder.sha256,
    images: `${files.length}, of which ${totals.iou.count} with objects under masks`,
    preprocessing: encoder.preprocessing,
    'runs of the encoder': `${encoder.runsPerImage} an image`,
    seed: String(seed),
    time:
      measured > 0
        ? `${measured} images in ${(measuredMs / 1000).toFixed(1)} s (${(measuredMs / measured).toFixed(0)} ms an image)`
        : 'all images from a stopped run',
    machine: machineInWords(),
  }
}

/** What was measured of redundancy, as a paragraph. */
export function redundancyInWords({ neighbourSimilarity }: StudyNumbers, answers: AnswerTotals | null): string {
  const visual = `A visual token's cosine similarities with its 10 neighbours sum to ${neighbourSimilarity.toFixed(2)}`
  if (!answers) return `${visual}. Answers were not measured (--questions).`
  const { questions, shortened } = answers
  const percent = (count: number, of: number) => `${((100 * count) / of).toFixed(1)} %`
  const lost =
    shortened > 0
      ? ` (5 % of a short question is often no token: ${shortened} questions lost one, of these ${percent(answers.keptShortened, shortened)} stay)`
      : ''
  return (
    `${visual}, those of a question's token to ${(answers.textSimilarity / questions).toFixed(2)}. Of ${questions} answers, ` +
    `${percent(answers.keptWithoutVisual, questions)} stay the same without half of the visual tokens and ` +
    `${percent(answers.keptWithoutText, questions)} without 5 % of the question's tokens${lost}.`
  )
}

/** The findings as `hiprune study` prints them. */
export function studyInWords(run: StudyRun, numbers: StudyNumbers, answers: AnswerTotals | null): string {
  const { findings, layers, iou } = numbers
  const verdict = (finding: StudyNumbers['findings']['globalInTheDeep'] | null) =>
    finding
      ? `${finding.shows ? 'shows' : 'does not show'}: ${finding.reading}`
      : 'not measured, needs --masks or --coco'
  return [
    `middle layers look at objects: ${verdict(findings.objectsInTheMiddle)}`,
    `deep layers look everywhere: ${verdict(findings.globalInTheDeep)}`,
    `object layer ${layers.objectLayer}, deep layer ${layers.deepLayer}: ${layers.reason}${iou ? `; ${masksInWords(layers.objectLayer, iou)}` : ''}`,
    redundancyInWords(numbers, answers),
    ...Object.entries(factsOf(run)).map(([name, value]) => `${name}: ${value}`),
  ].join('\n')
}
