// One case of bench-pruning.mjs: reads it from the first argument as JSON, prints its numbers as JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import { createArena, rowOf } from '../node_modules/.cache/hiprune-bench/numeric/arena.js'
import { seededRandom } from '../node_modules/.cache/hiprune-bench/numeric/random.js'
import { createPruner, relevanceToText } from '../node_modules/.cache/hiprune-bench/pruning/index.js'

const { method, size, width, divisor, seed } = JSON.parse(process.argv[2])
const MAX_RUNS = 50
const ENOUGH_MS = 2000
let sink = 0

const next = seededRandom(seed)
const pruner = createPruner(method)
const input = makeInput(size)
const keep = Math.round(size / divisor)

const small = makeInput(100)
for (let i = 0; i < 30; i++) select(small, 30)
const rateBefore = multiplyRate()
let first
const memoryMb = measureMemory(() => (first = measureTimes(() => select(input, keep), 1)))
// A run that took long is not run again for a warmer one.
const { times, cpuMs } = first.times[0] > ENOUGH_MS ? first : measureTimes(() => select(input, keep), MAX_RUNS)
const multiplyRateHere = (rateBefore + multiplyRate()) / 2
const ms = times.sort((a, b) => a - b)[times.length >> 1]
process.stdout.write(JSON.stringify({ ms, cpuMs, runs: times.length, memoryMb, multiplyRate: multiplyRateHere, sink }))

/** Peak of resident memory during the call over what there was before, in MB; undefined where the system does not tell. */
function measureMemory(work) {
  globalThis.gc()
  try {
    writeFileSync('/proc/self/clear_refs', '5') // Linux: forget the peak so far
  } catch {
    return void work()
  }
  const before = peakMemory()
  work()
  return Math.round((peakMemory() - before) / 1000)
}

/** In kB. */
function peakMemory() {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
}

function measureTimes(work, maxRuns) {
  const times = []
  const begin = performance.now()
  const cpuBegin = cpuNow()
  while (times.length === 0 || (times.length < maxRuns && performance.now() - begin < ENOUGH_MS)) {
    const start = performance.now()
    work()
    times.push(performance.now() - start)
  }
  return { times, cpuMs: (cpuNow() - cpuBegin) / times.length }
}

/** Milliseconds of processor time of this process so far. */
function cpuNow() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The relevance is part of what a prompt-aware method costs. */
function select(full, count) {
  const relevance = pruner.needs.includes('relevance') ? relevanceToText(full.features, full.text) : undefined
  sink += pruner.select(relevance ? { ...full, relevance } : full, count).kept[0]
}

function makeInput(numTokens) {
  const rows = largestDivisor(numTokens)
  const scores = () => fill(new Float32Array(numTokens), () => next())
  return {
    grid: { rows, columns: numTokens / rows },
    objectScores: scores(),
    deepScores: scores(),
    clsScores: scores(),
    features:
      pruner.needs.includes('features') || pruner.needs.includes('relevance') ? clustered(numTokens, width) : [],
    keys: pruner.needs.includes('keys') ? clustered(numTokens, 64) : [],
    text: clustered(1, width),
    seed,
  }
}

function largestDivisor(numTokens) {
  let divisor = Math.floor(Math.sqrt(numTokens))
  while (numTokens % divisor !== 0) divisor--
  return divisor
}

/** Without garbage, which would blur the peak of memory. */
function fill(floats, make) {
  for (let i = 0; i < floats.length; i++) floats[i] = make()
  return floats
}

function clustered(numRows, columns) {
  const centres = fill(new Float32Array(40 * columns), () => next() - 0.5)
  const rows = new Float32Array(numRows * columns)
  for (let i = 0; i < numRows; i++) {
    const centre = Math.floor(next() * 40) * columns
    for (let d = 0; d < columns; d++) rows[i * columns + d] = centres[centre + d] + (next() - 0.5)
  }
  return rows
}

/** Multiplications a microsecond of processor time, of the kernel on rows that stay in the cache, over a tenth of a second. */
function multiplyRate() {
  const arena = createArena(40 * width)
  const rows = arena.rows(32, width)
  rows.values.fill(0.5)
  const out = arena.floats(32)
  const block = () => {
    for (let i = 0; i < 32; i++) arena.dots(rowOf(rows, i), rows, 0, 32, out)
  }
  for (let run = 0; run < 20; run++) block()
  const start = cpuNow()
  let blocks = 0
  for (; cpuNow() - start < 100; blocks++) block()
  sink += out[0]
  return (blocks * 32 * 32 * rows.width) / (cpuNow() - start) / 1000
}
