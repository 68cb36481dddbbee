import Table from 'cli-table3'
import { Command } from 'commander'
import { methodInfo } from '../index.js'
import { print, printJson } from './output.js'

export function methodsCommand(): Command {
  return new Command('methods')
    .description('List the selection methods: paper, what they read, what they are')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  hiprune methods --json')
    .action(({ json }: { json?: boolean }) => {
      if (json) printJson(methodInfo)
      else print(methodTable())
    })
}

function methodTable(): string {
  const table = new Table({
    head: [
      'method',
      'title',
      'reads',
      'training-free',
      'merges',
      'reads the question',
      'paper',
      'licence of the original',
    ],
    style: { head: [], border: [], compact: true },
  })
  const yes = (flag: boolean) => (flag ? 'yes' : '')
  for (const [name, { title, needs, trainingFree, merges, promptAware, paper = '', licence }] of Object.entries(
    methodInfo,
  )) {
    table.push([name, title, needs.join(', '), yes(trainingFree), yes(merges), yes(promptAware), paper, licence])
  }
  return table.toString()
}
