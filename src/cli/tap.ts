import { Command } from 'commander'
import { inspectEncoder, tapAttention } from '../onnx/index.js'
import { checkOutput, outputFor, readEncoderFile, writeEncoderFile } from './encoder-file.js'
import { layerList } from './layer-list.js'
import { print, printJson } from './output.js'

interface TapCommandOptions {
  layers?: string
  cls?: string
  keys?: string
  out?: string
  force?: boolean
  json?: boolean
}

export function tapCommand(): Command {
  return new Command('tap')
    .description('Write a vision encoder that also returns the attention its visual tokens receive')
    .argument('<file.onnx>', 'a vision encoder')
    .option(
      '--layers <list>',
      'layers to tap, 1-based, e.g. 9,23; default: the suggested object layer and the deep layer',
    )
    .option('--cls <list>', "layers whose CLS token's attention is returned")
    .option('--keys <list>', 'layers whose head-mean keys are returned')
    .option('-o, --out <file.onnx>', 'default: <file>.tapped.onnx beside the input')
    .option('--force', 'replace an existing file')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  hiprune tap llava/onnx/vision_encoder.onnx --layers 9,23')
    .action(runTap)
}

async function runTap(file: string, options: TapCommandOptions): Promise<void> {
  const output = outputFor(file, options.out, 'tapped')
  await checkOutput(output, options.force ?? false)
  const bytes = await readEncoderFile(file)
  const info = inspectEncoder(bytes)
  const layers = options.layers
    ? layerList('--layers', options.layers)
    : [...new Set([info.suggestedObjectLayer, info.deepLayer])]
  const cls = options.cls ? layerList('--cls', options.cls) : []
  const keys = options.keys ? layerList('--keys', options.keys) : []
  const tapped = tapAttention(bytes, { layers, cls, keys })
  await writeEncoderFile(file, output, tapped, info.externalData)
  const result = { input: file, output, layers, cls, keys, addedBytes: tapped.length - bytes.length }
  if (options.json) printJson(result)
  else print(`${output}: layers ${layers.join(', ')} tapped, ${result.addedBytes} bytes added`)
}
