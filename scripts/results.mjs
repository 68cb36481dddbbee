// The embedded model's accuracy under every method, budget and ablation: `npm run results`. Writes docs/results.md and its
// figures. Stopped, it goes on where it was; `npm run results -- --limit 5` tries it on 5 images and prints the page instead.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as prettier from 'prettier'
import {
  budgetsOf,
  labelsOf,
  lossesInWords,
  markdownTable,
  publishedTables,
  resultTable,
  taskTables,
  testTable,
  timesTable,
} from '../dist/evaluation/index.js'
import { readRun, runFacts, writeFigures } from '../dist/cli/eval-report.js'
import { evaluatedMethods } from '../dist/evaluation/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const main = path.join(root, 'dist/cli/main.js')
const given = process.argv.slice(2)
const isTrial = given.includes('--limit')

const { num_hidden_layers: layers } = JSON.parse(
  readFileSync(path.join(root, 'demo-vlm/config.json'), 'utf8'),
).vision_config
// Early, middle and late, as the model has them; its own default is the plain hiprune.
const objectLayers = [...new Set([0.125, 0.25, 0.5, 0.625, 0.75, 0.875].map((share) => Math.round(share * layers)))]

/** Heading, what is asked, and the variants, of which hiprune with its defaults is always the first. */
const ablations = [
  [
    'Share of anchors and buffers (alpha)',
    'alpha 0 has registers only, 1 none; the paper takes 0.1.',
    [0, 0.25, 0.5, 0.75].map((alpha) => `hiprune:alpha=${alpha}`),
  ],
  [
    'With and without each type of token',
    'No registers: anchors and buffers fill the budget. No buffers: more anchors take their place.',
    [
      'hiprune:alpha=1:label=no registers',
      'hiprune:shape=none:label=no buffers',
      'hiprune:alpha=0:label=no anchors and buffers',
    ],
  ],
  [
    'Object layer',
    `Layers of ${layers}; the share of anchors is raised to 0.5, because at 0.1 few or no tokens depend on the layer.`,
    ['hiprune:alpha=0.5', ...objectLayers.map((layer) => `hiprune:alpha=0.5:objectLayer=${layer}`)],
  ],
  [
    'Shape of the buffers',
    'Neighbours of an anchor; again with a share of 0.5.',
    [
      'hiprune:alpha=0.5',
      ...['square', 'diagonal', 'row', 'column'].map((shape) => `hiprune:alpha=0.5:shape=${shape}`),
    ],
  ],
  [
    'Attention of CLS instead of all queries',
    'The paper calls the mean over all queries global attention.',
    ['hiprune:attention=cls', 'hiprune:alpha=0.5', 'hiprune:alpha=0.5:attention=cls'],
  ],
  [
    'HiPrune++',
    "Share of text tokens (beta) and the sign of their similarity to the question. This model has no paired text tower: similarity is that to the language model's embeddings of the question.",
    ['hiprune++', 'hiprune++:beta=0.25', 'hiprune++:beta=0.5', 'hiprune++:sign=-1', 'hiprune++:textBudget=extra'],
  ],
]
const methods = [...evaluatedMethods.filter((name) => name !== 'downscale')]
const labelOf = (text) => /:label=(.*)$/.exec(text)?.[1] ?? text.replaceAll(':', ' ')
const variants = new Map([...methods, ...ablations.flatMap(([, , list]) => list)].map((text) => [labelOf(text), text]))

const command = [
  ...['eval', '--model', 'demo', '--data', `jsonl=${path.join(root, 'demo-vlm/benchmark/questions.jsonl')}`],
  ...['--methods', [...variants.values()].join(','), '--keep', '1/3,2/9,1/9,auto', '--forms', 'none', '--json'],
  ...['-o', path.join(root, 'runs'), ...given],
]
console.error(`${variants.size} variants at 4 budgets; the time left is printed as it goes, and a stopped run goes on`)
const { folder } = JSON.parse(
  execFileSync(process.execPath, [main, ...command], { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 30 }),
)

const run = await readRun(folder)
const [summary] = run.summaries
const all = summary.cells[0]
const figuresFolder = isTrial ? path.join(folder, 'figures') : path.join(root, 'docs/results')
mkdirSync(figuresFolder, { recursive: true })
const figures = await writeFigures(figuresFolder, { ...run, name: 'demo-vlm' })
const picture = (name) => {
  const found = figures.find(({ file }) => path.basename(file, '.svg').endsWith(name))
  return found ? `![${found.title}](results/${path.basename(found.file)})` : ''
}

const page = [
  '# Results',
  'Written by `npm run results`; do not edit. The words below follow from the numbers.',
  `Accuracy of the embedded model on ${summary.questions} questions about ${summary.images} held-out synthetic scenes ([demo-vlm/benchmark](../demo-vlm/benchmark/README.md)): ${summary.description}. With all ${Math.round(all.tokens)} visual tokens it answers ${(100 * all.result.value).toFixed(1)} % right. It is a tiny model on drawn scenes, and says nothing about LLaVA on photographs; how to measure your own model stands in [eval.md](eval.md).`,
  runFacts(run),
  '## All methods',
  'Accuracy in %, in brackets the share of the accuracy with all tokens, with its 95 % bootstrap interval over images.',
  resultTable(summary, methods),
  picture('jsonl-methods-kept'),
  '### Where HiPrune loses',
  lossesInWords(summary, methods),
  `McNemar's exact test at the same budget: questions that only this method (+) and only hiprune (-) got right. The test takes questions for independent, and with ${methods.length - 1} methods at ${budgetsOf(summary).length} budgets a few small p are chance.`,
  testTable(summary, methods),
  '### By task',
  taskTables(summary, methods),
  picture('jsonl-tasks'),
  '### Time to the first token',
  run.times.length === 0
    ? 'Not measured in this run.'
    : `Median milliseconds of ${run.times[0].images} images, one question each; the encoder in front of the selection is the same for all. Times belong to the machine above and to what else it did.`,
  run.times.length === 0 ? '' : timesTable(run.times, methods),
  picture('jsonl-methods-pareto'),
  '## Ablations',
  'Against hiprune with its defaults (alpha 0.1, cross, the default object layer), in the same run.',
  ...ablations.flatMap(([title, words, list]) => {
    const labels = ['hiprune', ...list.map(labelOf)]
    return [`### ${title}`, words, resultTable(summary, labels), testTable(summary, labels)]
  }),
  picture('jsonl-hiprune-kept'),
  picture('jsonl-hiprune++-kept'),
  "## The paper's own numbers",
  "From [arXiv 2508.00553](https://arxiv.org/abs/2508.00553) v3: its models, its data, its harness. They are no part of our tables and cannot be compared with them; one and the same method moves by up to 18 points between papers. Weak spots that the paper's tables show: text in images (Qwen2.5-VL-3B on TextVQA, 77.8 to 50.9 at 11.1 %) and POPE at 64 tokens (85.9 to 73.0).",
  ...publishedTables.flatMap(({ title, head, rows }) => [`${title}:`, markdownTable(head, rows)]),
]
const missing = [...variants.keys()].filter((label) => !labelsOf(summary).includes(label))
if (missing.length > 0) throw new Error(`the run has no ${missing.join(', ')}`)

const target = path.join(root, 'docs/results.md')
const options = { ...(await prettier.resolveConfig(target)), filepath: target }
const text = await prettier.format(page.filter((part) => part !== '').join('\n\n'), options)
if (isTrial) console.log(text)
else writeFileSync(target, text)
console.error(isTrial ? `tried: ${folder}; docs/results.md is left as it is` : `written: ${target}`)
