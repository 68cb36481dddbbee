import { rm } from 'node:fs/promises'
import { Command } from 'commander'
import { calibrationOf, masksInWords, studyNumbers, type Calibration } from '../analysis/index.js'
import { print, printJson } from './output.js'
import { runStudy, studyRunOptions, type StudyRunOptions } from './study-run.js'
import { writeWhole } from './study-state.js'

interface CalibrateOptions extends StudyRunOptions {
  out: string
  json?: boolean
}

export function calibrateCommand(): Command {
  const command = new Command('calibrate').description(
    'Choose the object layer of an encoder from images, by where the dispersion of its most attended tokens jumps',
  )
  return studyRunOptions(command)
    .option('-o, --out <calibration.json>', 'where the calibration goes', 'calibration.json')
    .option('--json', 'print the calibration as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  hiprune calibrate photos/ --model path/or/hub-id -o calibration.json\n  hiprune ask photo.jpg "what is this ?" --model path/or/hub-id --calibration calibration.json',
    )
    .action(runCalibrate)
}

async function runCalibrate(inputs: string[], options: CalibrateOptions): Promise<void> {
  const stateFile = `${options.out}.state`
  const { encoder, totals, seed } = await runStudy(inputs, options, stateFile)
  await encoder.release()
  const calibration = calibrationOf(encoder, studyNumbers(totals), seed)
  await writeWhole(options.out, `${JSON.stringify(calibration, null, 2)}\n`)
  await rm(stateFile, { force: true })
  if (options.json) printJson(calibration)
  else print(`${inWords(calibration)}\nwritten to ${options.out}`)
}

function inWords({ encoder, objectLayer, deepLayer, reason, jump, images, dispersion, iou }: Calibration): string {
  const width = 40 / Math.max(...dispersion)
  const bars = dispersion.map((value, i) => {
    const marks = [i + 1 === objectLayer ? '<- object layer' : '', i + 1 === deepLayer ? '<- deep layer' : '']
    return `${String(i + 1).padStart(5)} ${value.toFixed(2).padStart(8)} ${'#'.repeat(Math.round(value * width))} ${marks.join('')}`
  })
  const [low, high] = jump.rise95.map((rise) => `${Math.round(100 * rise)} %`)
  const sharpness = jump.sharpness === null ? 'nothing else rises' : `${jump.sharpness.toFixed(1)} times the next rise`
  return [
    `${encoder.file}: object layer ${objectLayer}, deep layer ${deepLayer} (${images} images)`,
    reason,
    `largest rise: layer ${jump.layers[0]} to ${jump.layers[1]}, 95 % of bootstrap samples ${low} to ${high}, ${sharpness}, the same layer in ${Math.round(100 * jump.agreement)} % of them`,
    ...(iou ? [masksInWords(objectLayer, iou)] : []),
    'dispersion of the top 5 % by layer:',
    ...bars.map((line) => line.trimEnd()),
  ].join('\n')
}
