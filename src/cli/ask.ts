import { Command } from 'commander'
import { ArgumentError, ask, type Answer, type AskOptions, type PrunedModel } from '../index.js'
import { readImage } from '../node.js'
import { answerTable, answerLine } from './answer-table.js'
import { loadModel, modelOptions, pruningOf, type ModelOptions } from './model-options.js'
import { writeOverlay } from './overlay-file.js'
import { print, printJson } from './output.js'

interface AskCommandOptions extends ModelOptions {
  compare?: boolean
  overlay?: string
  json?: boolean
  maxTokens: string
}

export function askCommand(): Command {
  const command = new Command('ask')
    .description('Ask a question about one or more images, with fewer visual tokens')
    .usage('[options] <image...> <question>')
    .argument('<inputs...>', 'one or more image files, then the question in quotes')
    .option('--compare', 'answer from all visual tokens too and print both side by side')
    .option('--overlay <out.png>', 'write a picture of the kept tokens')
    .option('--max-tokens <n>', 'longest answer', '128')
    .option('--json', 'print one JSON object')
  return modelOptions(command)
    .addHelpText(
      'after',
      `\nExample:\n  hiprune ask photo.jpg "what color is the star ?" --keep 1/3 --compare --overlay kept.png`,
    )
    .action(runAsk)
}

async function runAsk(inputs: string[], options: AskCommandOptions): Promise<void> {
  const question = inputs.at(-1) as string
  const files = inputs.slice(0, -1)
  if (files.length === 0)
    throw new ArgumentError(
      'question',
      undefined,
      'image files, then a question: hiprune ask photo.jpg "what is this ?"',
    )
  const maxTokens = positiveInteger('--max-tokens', options.maxTokens)
  const pruning = pruningOf(options)
  const images = await Promise.all(files.map(readImage))
  const loaded = await loadModel(options, pruning)

  const own: AskOptions = { max_new_tokens: maxTokens }
  const all = options.compare ? await ask(loaded, images, question, { ...own, method: 'none' }) : undefined
  const pruned = await ask(loaded, images, question, own)
  if (options.overlay) await writeOverlay(options.overlay, loaded, files, images, pruned)
  if (options.json)
    printJson(all ? { question, all: plain(all), pruned: plain(pruned) } : { question, ...plain(pruned) })
  else print(all ? answerTable(all, pruned) : answerLine(pruned))
  await (loaded as PrunedModel).model.dispose()
}

function positiveInteger(name: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new ArgumentError(name, text, 'an integer from 1')
  return Number(text)
}

/** Typed arrays as plain ones. */
function plain({ images, ...answer }: Answer) {
  return {
    ...answer,
    images: images.map(({ grid, selection }) => ({ grid, kept: [...selection.kept], roles: [...selection.roles] })),
  }
}
