#!/usr/bin/env node
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { LogLevel, env } from '@huggingface/transformers'
import { ArgumentError } from '../index.js'
import { askCommand } from './ask.js'
import { benchCommand } from './bench.js'
import { calibrateCommand } from './calibrate.js'
import { compileCommand } from './compile.js'
import { demoCommand } from './demo.js'
import { evalCommand } from './eval.js'
import { flopsCommand } from './flops.js'
import { inspectCommand } from './inspect.js'
import { methodsCommand } from './methods.js'
import { note } from './output.js'
import { studyCommand } from './study.js'
import { tapCommand } from './tap.js'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const program = new Command('hiprune')
  .description('Training-free visual token pruning for vision-language models')
  .version(version)
  .option('--verbose', 'print stack traces and the library log')

const encoderCommands = [inspectCommand(), tapCommand(), compileCommand()]
const studyCommands = [studyCommand(), calibrateCommand()]
const costCommands = [evalCommand(), flopsCommand(), benchCommand()]
const commands = [askCommand(), demoCommand(), methodsCommand(), ...encoderCommands, ...studyCommands, ...costCommands]
for (const command of commands) program.addCommand(command)
for (const command of [program, ...program.commands]) {
  command.exitOverride().configureOutput({ writeErr: () => undefined })
  command.showHelpAfterError(false)
}

try {
  env.logLevel = process.argv.includes('--verbose') ? LogLevel.INFO : LogLevel.NONE
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

/** Says what went wrong in one line and tells a wrong argument (2) from a failure (1). */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    note(error.code === 'commander.help' ? program.helpInformation() : error.message.replaceAll('\n', ' '))
    return 2
  }
  const { message, stack } = error as Error
  note(`error: ${message}`)
  if (program.opts()['verbose']) note(stack ?? '')
  return error instanceof ArgumentError ? 2 : 1
}
