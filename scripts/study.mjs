// The embedded model's own study, and that of random encoders beside it: `npm run study`. Writes docs/study.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as prettier from 'prettier'

const root = fileURLToPath(new URL('..', import.meta.url))
const docs = path.join(root, 'docs/study')
const heldOut = path.join(root, 'demo-vlm/benchmark')
const random = ['tiny-clip-vit', 'tiny-siglip-vit']
const towers = path.join(root, 'test/fixtures/oracle/models')

/** Label 255 is the sign with text: held out from the objects, as the scenes themselves count. */
const data = [path.join(heldOut, 'images'), '--masks', path.join(heldOut, 'masks'), '--mask-background', '0,255']

function study(...args) {
  const command = [path.join(root, 'dist/cli/main.js'), 'study', ...data, '--restart', '--json', ...args]
  return JSON.parse(
    execFileSync(process.execPath, command, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 28,
    }),
  )
}

const questions = ['--questions', path.join(heldOut, 'questions.jsonl'), '--max-questions', '300']
const embedded = study('-o', docs, '--pictures', '2', ...questions)
rmSync(path.join(docs, 'state.json'))
console.error('embedded model: done')

const scratch = mkdtempSync(path.join(os.tmpdir(), 'hiprune-study-'))
const randoms = random.map((name) => {
  const file = path.join(towers, name, 'onnx/vision_model.onnx')
  const pixels = name.includes('siglip') ? ['--mean', '0.5,0.5,0.5', '--std', '0.5,0.5,0.5'] : []
  const result = study('--encoder', file, '-o', path.join(scratch, name), '--pictures', '1', ...pixels)
  console.error(`${name}: done`)
  return [name, result]
})
rmSync(scratch, { recursive: true })

const cost = path.join(docs, 'cost.md')
const pages = [numbersPage(), existsSync(cost) ? readFileSync(cost, 'utf8') : '']
const target = path.join(docs, 'numbers.md')
const config = await prettier.resolveConfig(target)
writeFileSync(target, await prettier.format(pages[0], { ...config, filepath: target }))
console.log(pages.join('\n'))

function numbersPage() {
  const all = [['embedded model', embedded], ...randoms.map(([name, result]) => [`random weights: ${name}`, result])]
  return [
    '# Numbers of the study',
    'Written by `npm run study`; do not edit.',
    table(['', 'value'], Object.entries(embedded.facts)),
    '## Findings',
    ...all.flatMap(([name, { numbers }]) => [`### ${name}`, findings(numbers)]),
    '## By layer: embedded model',
    layerTable(embedded.numbers),
    ...randoms.flatMap(([name, { numbers }]) => [`## By layer: random weights, ${name}`, layerTable(numbers)]),
    '## Redundancy: embedded model',
    redundancy(embedded),
  ].join('\n\n')
}

function findings({ findings, layers, iou }) {
  const verdict = ({ shows, reading }) => `**${shows ? 'shows' : 'does not show'}**: ${reading}`
  return [
    `- Middle layers look at objects ${verdict(findings.objectsInTheMiddle)}.`,
    `- Deep layers look everywhere ${verdict(findings.globalInTheDeep)}.`,
    `- Object layer ${layers.objectLayer} of ${layers.deepLayer} by ${layers.method} (${layers.reason}); the largest rise is at layer ${layers.jump.layers[0]} in ${percent(layers.jump.agreement)} of bootstrap samples, 95 % of them between ${percent(layers.jump.rise95[0])} and ${percent(layers.jump.rise95[1])}. The IoU of that layer is ${iou.mean[layers.objectLayer - 1].toFixed(3)} (random choice: ${iou.chance.toFixed(3)}), the largest is ${iou.mean[iou.bestLayer - 1].toFixed(3)} in layer ${iou.bestLayer}.`,
  ].join('\n')
}

function layerTable({ dispersion, iou, spread, depth }) {
  const rows = Array.from({ length: depth }, (_, i) => [
    i + 1,
    ...dispersion.map(({ mean }) => mean[i].toFixed(2)),
    iou.mean[i].toFixed(3),
    `${iou.low95[i].toFixed(3)} to ${iou.high95[i].toFixed(3)}`,
    iou.relative[i].toFixed(2),
  ])
  const levels = `All tokens: mean distance ${spread.toFixed(2)}. IoU of a random choice ${iou.chance.toFixed(3)}, best possible ${iou.best.toFixed(3)}; ${percent(iou.objectShare)} of tokens are object tokens, ${iou.images} images.`
  const head = [
    'layer',
    ...dispersion.map(({ share }) => `dispersion, top ${100 * share} %`),
    'IoU',
    '95 %',
    'IoU / L/2',
  ]
  return `${table(head, rows)}\n\n${levels}`
}

function redundancy({ numbers, answers }) {
  const share = (count, of = answers.questions) => percent(count / of)
  return table(
    ['quantity', 'visual tokens', 'text tokens'],
    [
      [
        'sum of cosines with 10 neighbours',
        numbers.neighbourSimilarity.toFixed(2),
        (answers.textSimilarity / answers.questions).toFixed(2),
      ],
      [
        `answers kept, of ${answers.questions}`,
        `${share(answers.keptWithoutVisual)} without 50 %`,
        `${share(answers.keptWithoutText)} without 5 %`,
      ],
      [
        'answers kept where a token went',
        share(answers.keptWithoutVisual),
        `${share(answers.keptShortened, answers.shortened)} of ${answers.shortened}`,
      ],
    ],
  )
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function percent(share) {
  return `${(100 * share).toFixed(0)} %`
}
