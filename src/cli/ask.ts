import { TextStreamer } from '@huggingface/transformers'
import { Command } from 'commander'
import { ArgumentError, ask, sampleFrames, videoFrames, type Answer, type Visual } from '../index.js'
import { openVideo, readImage } from '../node.js'
import { answerCost, answerTable } from './answer-table.js'
import { compare } from './compare.js'
import { loadModel, methodOf, modelOptions, pruningOf, type ModelOptions } from './model-options.js'
import { positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'
import { checkOverlayFile, writeOverlay } from './overlay-file.js'

interface AskCommandOptions extends ModelOptions {
  compare?: boolean
  repeat: string
  overlay?: string
  json?: boolean
  maxTokens: string
  video?: string
  frames?: string
}

export function askCommand(): Command {
  const command = new Command('ask')
    .description('Ask a question about images or a video, with fewer visual tokens')
    .usage('[options] [image...] <question>')
    .argument('<inputs...>', 'image files, then the question in quotes')
    .option('--video <path>', 'a folder of frames, or an animated GIF or WebP, behind the images')
    .option('--frames <n>', "frames taken of the video, at equal distances (default: the model's own number)")
    .option('--compare', 'answer from all visual tokens too and print both side by side')
    .option('--repeat <n>', 'with --compare: measured runs of each; medians are printed', '3')
    .option('--overlay <out.png>', 'write a picture of the kept tokens')
    .option('--max-tokens <n>', 'longest answer', '128')
    .option('--json', 'print one JSON object')
  return modelOptions(command)
    .addHelpText(
      'after',
      `\nExample:\n  hiprune ask photo.jpg "what color is the star ?" --compare --overlay kept.png\n  hiprune ask --video clip.gif --model path/or/hub-id "what happens ?"`,
    )
    .action(runAsk)
}

async function runAsk(inputs: string[], options: AskCommandOptions): Promise<void> {
  const [question, files] = [inputs.at(-1) as string, inputs.slice(0, -1)]
  if (files.length === 0 && options.video === undefined)
    throw new ArgumentError('inputs', question, 'image files, then a question in quotes')
  const own = { max_new_tokens: positiveInteger('--max-tokens', options.maxTokens), ...methodOf(options) }
  const repeat = positiveInteger('--repeat', options.repeat)
  const frames = options.frames === undefined ? undefined : positiveInteger('--frames', options.frames)
  if (options.overlay) await checkOverlayFile(options.overlay)
  const pruning = pruningOf(options)
  const images = await Promise.all(files.map(readImage))
  const video = options.video === undefined ? undefined : await openVideo(options.video)
  const loaded = await loadModel(options, pruning)

  const visuals: Visual[] = [...images]
  if (video)
    visuals.push({ frames: await video.read(sampleFrames(video.numFrames, frames ?? videoFrames(loaded.model))) })
  const names = [...files, ...(options.video === undefined ? [] : [options.video])]
  const write = async (answer: Answer) => {
    if (options.overlay) await writeOverlay(options.overlay, loaded, names, visuals, answer)
  }
  // The frames have been chosen already.
  const asked = { ...own, ...(video && { frames: video.numFrames }) }
  if (options.compare) {
    const { all, pruned } = await compare(loaded, visuals, question, asked, repeat)
    await write(pruned)
    if (options.json) printJson({ question, all: plain(all), pruned: plain(pruned) })
    else print(answerTable(all, pruned))
  } else {
    // Words appear as they come, unless a program is to read them.
    const streamer = options.json ? undefined : new TextStreamer(loaded.tokenizer, STREAMING)
    const answer = await ask(loaded, visuals, question, { ...asked, streamer })
    await write(answer)
    if (options.json) printJson({ question, ...plain(answer) })
    else print(answerCost(answer))
  }
  await loaded.model.dispose()
}

const STREAMING = { skip_prompt: true, decode_kwargs: { skip_special_tokens: true } }

/** Typed arrays as plain ones. */
function plain({ images, ...answer }: Answer) {
  return {
    ...answer,
    images: images.map(({ grid, selection }) => ({ grid, kept: [...selection.kept], roles: [...selection.roles] })),
  }
}
