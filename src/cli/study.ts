import path from 'node:path'
import { Command } from 'commander'
import { studyNumbers } from '../analysis/index.js'
import { ArgumentError } from '../index.js'
import { positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'
import { measureAnswers, readQuestions } from './study-answers.js'
import { listImages } from './study-images.js'
import { runStudy, studyRunOptions, type StudyRunOptions } from './study-run.js'
import { studyInWords } from './study-words.js'

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
  const { out, encoder: bare } = options
  const pictures = positiveInteger('--pictures', options.pictures)
  const most = positiveInteger('--max-questions', options.maxQuestions)
  if (options.questions !== undefined && bare !== undefined)
    throw new ArgumentError('--questions', options.questions, 'nothing with --encoder, which has no language model')
  const questions =
    options.questions === undefined ? [] : await readQuestions(options.questions, most, await listImages(inputs))
  const run = await runStudy(inputs, options, path.join(out, 'state.json'))
  const numbers = studyNumbers(run.totals)
  const answers = questions.length > 0 ? await measureAnswers(options, questions, run.seed) : null
  // Drawing brings libraries that no other command needs to load.
  const { writeReport } = await import('./study-report.js')
  const result = await writeReport(out, { run, numbers, answers, pictures })
  await run.encoder.release()
  if (options.json) printJson(result)
  else print(`${studyInWords(run, numbers, answers)}\nreport: ${path.join(out, 'index.html')}`)
}
