import { expect, it } from 'vitest'
import { prunerNames } from '../../src/index.js'
import { hiprune } from '../cli.js'

it('hiprune methods lists every method', async () => {
  const { code, stdout } = await hiprune('methods')
  expect(code).toBe(0)
  for (const name of prunerNames) expect(stdout).toContain(`│ ${name} `)
  const json = await hiprune('methods', '--json')
  const facts = JSON.parse(json.stdout) as Record<string, { needs: string[]; promptAware: boolean }>
  expect(Object.keys(facts)).toEqual([...prunerNames])
  expect(facts['hiprune++']).toMatchObject({ promptAware: true, needs: ['objectScores', 'deepScores', 'relevance'] })
})
