import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { repository } from './cli.js'

const readme = readFileSync(`${repository}README.md`, 'utf8')

it('shows the snippets that docs/onnx.md has and the tests run', () => {
  const blocks = readFileSync(`${repository}docs/onnx.md`, 'utf8').match(/```(?:python|js)\n[\s\S]*?```/g)
  expect(blocks).toHaveLength(2)
  for (const block of blocks!) expect(readme).toContain(block)
})

it.each(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'])('%s links to files that exist', (name) => {
  const text = readFileSync(`${repository}${name}`, 'utf8')
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link]) => link!)
  expect(links.length).toBeGreaterThan(1)
  for (const link of links) expect(existsSync(`${repository}${link}`), link).toBe(true)
})
