import Table from 'cli-table3'
import { Command } from 'commander'
import { inspectEncoder, type EncoderInfo } from '../onnx/index.js'
import { readEncoderFile } from './encoder-file.js'
import { print, printJson } from './output.js'

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Describe a vision encoder: layers, attention, grid, and what could not be understood')
    .argument('<file.onnx>', 'a vision encoder, e.g. onnx/vision_encoder.onnx of a model folder')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  hiprune inspect llava/onnx/vision_encoder.onnx')
    .action(runInspect)
}

async function runInspect(file: string, options: { json?: boolean }): Promise<void> {
  const info = inspectEncoder(await readEncoderFile(file))
  if (options.json) printJson({ file, ...info })
  else print(encoderTable(info))
}

/** What a person wants to know, one line a fact. */
function encoderTable(info: EncoderInfo): string {
  const table = new Table({ style: { head: [], border: [], compact: true } })
  for (const [name, value] of facts(info)) table.push([name, value])
  const problems = info.problems.map((problem) => `problem: ${problem}`)
  return [
    table.toString(),
    ...(problems.length > 0 ? problems : ['everything was understood: this encoder can be tapped']),
  ].join('\n')
}

function facts(info: EncoderInfo): [string, string][] {
  const [first] = info.layers
  const others = info.poolingHeads.length + info.crossAttention.length
  return [
    ['family (guess)', info.family],
    ['attention layers', `${info.layers.length}${others > 0 ? ` (and ${others} pooling or cross attention)` : ''}`],
    ['pattern', [...new Set(info.layers.map(({ pattern }) => pattern))].join(', ')],
    ['heads x size', `${first?.heads ?? '?'} x ${first?.headSize ?? '?'}`],
    ['hidden width', String(info.width ?? '?')],
    ['visual tokens', visualTokens(info)],
    ['CLS and registers', String(info.prefixTokens)],
    [
      'inputs',
      info.inputs.map(({ name, shape }) => `${name} [${shape.map((dim) => dim ?? '?').join(', ')}]`).join('\n'),
    ],
    ['features', info.featuresOutput],
    ['dtype, opset', `${info.dtype}, ${info.opset}`],
    ['size', `${(info.fileSize / 2 ** 20).toFixed(1)} MiB${info.externalData.map((name) => ` + ${name}`).join('')}`],
    ['object layer (suggested)', String(info.suggestedObjectLayer)],
    ['deep layer', String(info.deepLayer)],
  ]
}

function visualTokens({ grid, patchesPerToken, imageSize, patchSize }: EncoderInfo): string {
  const image = imageSize === undefined ? '' : ` of a ${imageSize} px image`
  const patches = `${patchSize ?? '?'} px patches${patchesPerToken > 1 ? `, ${patchesPerToken} a token` : ''}`
  return grid ? `${grid.rows} x ${grid.columns}${image}, ${patches}` : `dynamic, ${patches}`
}
