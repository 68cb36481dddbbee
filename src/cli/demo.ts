import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import { readImage } from '../node.js'
import { answerTable } from './answer-table.js'
import { compare } from './compare.js'
import { machineInWords } from './machine.js'
import { demoModel, loadModel } from './model-options.js'
import { positiveInteger } from './numbers.js'
import { print } from './output.js'
import { writeOverlay } from './overlay-file.js'

interface Example {
  file: string
  questions: { type: string; question: string; answer: string }[]
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('Ask the embedded model about its example images, with all visual tokens and with a third of them')
    .option('-o, --out <folder>', 'where the pictures of the kept tokens go', 'out')
    .option('--images <n>', 'how many of the example images', '3')
    .option('--repeat <n>', 'measured runs of each; medians are printed', '3')
    .addHelpText('after', '\nExample:\n  hiprune demo --images 12 -o out')
    .action(runDemo)
}

async function runDemo({ out, images, repeat }: { out: string; images: string; repeat: string }): Promise<void> {
  const [numImages, runs] = [positiveInteger('--images', images), positiveInteger('--repeat', repeat)]
  const loaded = await loadModel({ model: 'demo' }, { keep: '1/3', method: 'hiprune' })
  const folder = path.join(demoModel, 'examples')
  const examples = JSON.parse(await readFile(path.join(folder, 'examples.json'), 'utf8')) as Example[]
  await mkdir(out, { recursive: true })
  for (const { file, questions } of examples.slice(0, numImages)) {
    const image = await readImage(path.join(folder, file))
    const { question, answer } = questions[0] as Example['questions'][number]
    const { all, pruned } = await compare(loaded, [image], question, {}, runs)
    const picture = path.join(out, `${path.parse(file).name}-kept.png`)
    await writeOverlay(picture, loaded, [file], [image], pruned)
    print(`\n${file}: ${question} (true answer: ${answer})\n${answerTable(all, pruned)}\nkept tokens: ${picture}`)
  }
  print(`\nmedian times of ${runs} runs; ${machineInWords()}`)
  await loaded.model.dispose()
}
