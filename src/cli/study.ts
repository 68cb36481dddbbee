import os from 'node:os'
import path from 'node:path'
import { env } from '@huggingface/transformers'
import { Command } from 'commander'
import { calibrationOf, layersCsv, studyNumbers, type AnswerTotals, type StudyNumbers } from '../analysis/index.js'
import { ArgumentError } from '../index.js'
import { renderPng } from '../node.js'
import { barFigure, reportHtml, standalone, summaryFigures, type ReportFigure } from '../plots/index.js'
import { positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'
import { measureAnswers, readQuestions } from './study-answers.js'
import { listImages } from './study-images.js'
import { pictureFigures } from './study-pictures.js'
import { runStudy, studyRunOptions, type StudyRun, type StudyRunOptions } from './study-run.js'
import { writeWhole } from './study-state.js'

interface StudyOptions extends StudyRunOptions {
  out: string
  pictures: string
  questions?: string
  maxQuestions: string
  json?: boolean
}

export function studyCommand(): Command {
  const command = new Command('study').description(
    'Show which layers of a vision encoder look at objects and which look everywhere, as a report with all figures and numbers',
  )
  return studyRunOptions(command)
    .option(
      '--questions <file.jsonl>',
      'with --model: {"image", "question"} a line, to measure how redundant tokens are',
    )
    .option('--max-questions <n>', 'how many of them, spread evenly', '200')
    .option('--pictures <n>', 'images whose rank maps and kept tokens are drawn', '3')
    .option('-o, --out <folder>', 'where the report goes', 'report')
    .option('--json', 'print the numbers as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  hiprune study photos/ --masks masks/ -o report\n  hiprune study val2017/ --encoder vision_model.onnx --coco instances_val2017.json',
    )
    .action(runStudyCommand)
}

async function runStudyCommand(inputs: string[], options: StudyOptions): Promise<void> {
  const { out, model, dtype, encoder: bare } = options
  const pictures = positiveInteger('--pictures', options.pictures)
  const most = positiveInteger('--max-questions', options.maxQuestions)
  if (options.questions !== undefined && bare !== undefined)
    throw new ArgumentError('--questions', options.questions, 'nothing with --encoder, which has no language model')
  const questions =
    options.questions === undefined ? [] : await readQuestions(options.questions, most, await listImages(inputs))
  const run = await runStudy(inputs, options, path.join(out, 'state.json'))
  const numbers = studyNumbers(run.totals)
  const images = await pictureFigures(run, numbers, pictures)
  await run.encoder.release()
  const answers = questions.length > 0 ? await measureAnswers(model, dtype, questions, run.seed) : null
  const figures = [...summaryFigures(numbers), ...redundancyFigures(numbers, answers), ...images]
  const facts = factsOf(run)
  const result = { facts, encoder: encoderOf(run), numbers, answers }
  await writeReport(out, run, numbers, figures, { facts, answers, result })
  if (options.json) printJson(result)
  else print(inWords(run, numbers, answers, out))
}

interface Written {
  readonly facts: Record<string, string>
  readonly answers: AnswerTotals | null
  readonly result: object
}

/** The page is written last: where it is, everything that it speaks of is there. */
async function writeReport(
  out: string,
  run: StudyRun,
  numbers: StudyNumbers,
  figures: readonly ReportFigure[],
  written: Written,
): Promise<void> {
  for (const { id, svg } of figures) {
    const file = standalone(svg)
    await writeWhole(path.join(out, 'figures', `${id}.svg`), `${file}\n`)
    await writeWhole(path.join(out, 'figures', `${id}.png`), renderPng(file))
  }
  await writeWhole(path.join(out, 'layers.csv'), layersCsv(numbers))
  await writeWhole(path.join(out, 'study.json'), `${JSON.stringify(written.result, null, 2)}\n`)
  const calibration = calibrationOf(run.encoder, numbers, run.seed)
  await writeWhole(path.join(out, 'calibration.json'), `${JSON.stringify(calibration, null, 2)}\n`)
  const title = `Hierarchy study of ${run.encoder.file}`
  const redundancy = redundancyInWords(numbers, written.answers)
  await writeWhole(
    path.join(out, 'index.html'),
    reportHtml({ title, numbers, facts: written.facts, figures, redundancy }),
  )
}

function encoderOf({ encoder }: StudyRun) {
  const { file, sha256, info } = encoder
  return { file, sha256, family: info.family, dtype: info.dtype, layers: info.layers.length, width: info.width ?? null }
}

function factsOf({ encoder, files, seed, measured, measuredMs, totals }: StudyRun): Record<string, string> {
  const [cpu] = os.cpus()
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
    machine: `${os.cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, Node ${process.version}, Transformers.js ${env.version}`,
  }
}

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

function redundancyInWords({ neighbourSimilarity }: StudyNumbers, answers: AnswerTotals | null): string {
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

function inWords(run: StudyRun, numbers: StudyNumbers, answers: AnswerTotals | null, out: string): string {
  const { findings, layers, iou } = numbers
  const verdict = (finding: StudyNumbers['findings']['globalInTheDeep'] | null) =>
    finding
      ? `${finding.shows ? 'shows' : 'does not show'}: ${finding.reading}`
      : 'not measured, needs --masks or --coco'
  return [
    `middle layers look at objects: ${verdict(findings.objectsInTheMiddle)}`,
    `deep layers look everywhere: ${verdict(findings.globalInTheDeep)}`,
    `object layer ${layers.objectLayer}, deep layer ${layers.deepLayer}: ${layers.reason}${iou ? `; IoU is largest in layer ${iou.bestLayer}` : ''}`,
    redundancyInWords(numbers, answers),
    ...Object.entries(factsOf(run)).map(([name, value]) => `${name}: ${value}`),
    `report: ${path.join(out, 'index.html')}`,
  ].join('\n')
}
