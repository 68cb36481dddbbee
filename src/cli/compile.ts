import { Command } from 'commander'
import { embedPruning, inspectEncoder, type EmbedOptions } from '../onnx/index.js'
import { checkOutput, outputFor, readEncoderFile, writeEncoderFile } from './encoder-file.js'
import { finiteNumber, positiveInteger } from './numbers.js'
import { print, printJson } from './output.js'

interface CompileCommandOptions {
  method: string
  objectLayer?: string
  alpha?: string
  beta?: string
  shape?: string
  borders?: string
  gather?: string
  out?: string
  force?: boolean
  json?: boolean
}

export function compileCommand(): Command {
  return new Command('compile')
    .description('Write a vision encoder that prunes inside the graph, for any ONNX Runtime in any language')
    .argument('<file.onnx>', 'a vision encoder')
    .option('--method <name>', 'hiprune, or hiprune++ with an embedding of the question as an input', 'hiprune')
    .option('--object-layer <n>', 'layer whose attention finds the objects, 1-based')
    .option('--alpha <0-1>', 'share of the budget for anchors and buffers')
    .option('--beta <0-1>', 'hiprune++: share of the budget for text tokens')
    .option('--shape <shape>', 'buffers of an anchor: cross, square, diagonal, row, column, none')
    .option('--borders <rule>', 'grid, or clamp as in the public code of the paper')
    .option('--gather <place>', 'features, or with less work projector or feed-forward')
    .option('-o, --out <file.onnx>', 'default: <file>.pruned.onnx beside the input')
    .option('--force', 'replace an existing file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  hiprune compile llava/onnx/vision_encoder.onnx --out vision_encoder_pruned.onnx',
    )
    .action(runCompile)
}

async function runCompile(file: string, options: CompileCommandOptions): Promise<void> {
  const output = outputFor(file, options.out, 'pruned')
  await checkOutput(output, options.force ?? false)
  const bytes = await readEncoderFile(file)
  const info = inspectEncoder(bytes)
  const settings = settingsOf(options)
  const compiled = embedPruning(bytes, settings)
  await writeEncoderFile(file, output, compiled, info.externalData)
  const result = { input: file, output, ...settings, addedBytes: compiled.length - bytes.length }
  if (options.json) printJson(result)
  else print(`${output}: feed K (int64 [1]) to get ${info.featuresOutput} of K tokens, kept_indices and roles`)
}

/** The options that were given; the library fills in the defaults and refuses bad values. */
function settingsOf({ method, objectLayer, alpha, beta, shape, borders, gather }: CompileCommandOptions): EmbedOptions {
  return {
    method,
    ...(objectLayer !== undefined && { objectLayer: positiveInteger('--object-layer', objectLayer) }),
    ...(alpha !== undefined && { alpha: finiteNumber('--alpha', alpha) }),
    ...(beta !== undefined && { beta: finiteNumber('--beta', beta) }),
    ...(shape !== undefined && { shape }),
    ...(borders !== undefined && { borders }),
    ...(gather !== undefined && { gather }),
  } as EmbedOptions
}
