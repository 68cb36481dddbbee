// Feeds mutated model files to the reader and the surgery of dist/onnx. Whatever the bytes are, the answer has to be a result or
// one of the package's own errors in one line: never another exception, never a hang, never more than 4 x the file in memory
// (with a floor of 32 MiB).
//
//   npm run fuzz                       200,000 mutations, the full length
//   npm run fuzz -- --seconds 60       a slice, as CI runs it
//   npm run fuzz -- --seed 7 --mutations 5000
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { embedPruning, inspectEncoder, tapAttention } from '../dist/onnx/index.js'
import { HipruneError } from '../dist/errors.js'
import { corpus, mutate, random } from './fuzz-mutations.mjs'

/** A mutation that takes longer is a hang. The slowest honest one takes well below a second on a machine of its own. */
const hangAfterMs = 60_000
const memoryFloor = 32 * 2 ** 20
const memoryFactor = 4
/** Memory is measured for one mutation in so many: collecting garbage before each would take most of the time. */
const measureEvery = 100

if (isMainThread) await supervise()
else fuzz(workerData)

async function supervise() {
  const { values } = parseArgs({
    options: {
      mutations: { type: 'string', default: '200000' },
      seconds: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '20260' },
    },
  })
  const settings = Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Number(text)]))
  const progress = new Int32Array(new SharedArrayBuffer(4)) // the mutation that is being worked on
  const worker = new Worker(fileURLToPath(import.meta.url), {
    workerData: { ...settings, progress },
    resourceLimits: { maxOldGenerationSizeMb: 192 },
  })
  let last = { done: -1, since: Date.now() }
  const watchdog = setInterval(() => {
    const done = Atomics.load(progress, 0)
    if (done !== last.done) last = { done, since: Date.now() }
    if (Date.now() - last.since < hangAfterMs) return
    console.error(`hang: mutation ${settings.seed + done} took more than ${hangAfterMs / 1000} s`)
    process.exit(1)
  }, 1000)
  worker.on('message', (message) => {
    if (message.report) console.log(message.report)
    if (message.failure) process.exitCode = 1
  })
  await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject)).catch((error) => {
    console.error(`the worker died at mutation ${settings.seed + Atomics.load(progress, 0)}: ${error.message}`)
    process.exitCode = 1
  })
  clearInterval(watchdog)
}

/** The worker: mutates, runs, counts. */
function fuzz({ mutations, seconds, seed, progress }) {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const seeds = corpus()
  const counts = new Map()
  const start = performance.now()
  const slowest = { ms: 0, at: 0 }
  const hungriest = { ratio: 0, bytes: 0, at: 0 }
  let done = 0
  for (; done < mutations && performance.now() - start < seconds * 1000; done++) {
    const next = random(seed + done) // every mutation can be repeated by its number alone
    const bytes = mutate(seeds, next)
    const measured = done % measureEvery === 0
    if (measured) collectGarbage()
    const before = measured ? process.memoryUsage() : undefined
    const started = performance.now()
    const outcome = attempt(bytes, next)
    const ms = performance.now() - started
    if (ms > slowest.ms) Object.assign(slowest, { ms, at: seed + done })
    if (before) measure(before, bytes.length, hungriest, seed + done)
    counts.set(outcome.kind, (counts.get(outcome.kind) ?? 0) + 1)
    if (outcome.kind === 'FAILED' || hungriest.ratio > 1) {
      const why = outcome.error?.stack ?? `${hungriest.bytes} bytes of memory for a file of ${bytes.length}`
      parentPort.postMessage({ failure: true, report: `mutation ${seed + done}: ${why}` })
      break
    }
    Atomics.store(progress, 0, done + 1)
  }
  parentPort.postMessage({ report: summary(done, start, counts, slowest, hungriest, seeds.length) })
}

/** What a caller might do with a file. */
function attempt(bytes, next) {
  try {
    const info = inspectEncoder(bytes)
    const layers = [1, Math.max(1, info.layers.length)]
    const extra = next() < 0.3 ? { cls: [1], keys: [1] } : {}
    const tapped = tapAttention(bytes, { layers, ...extra })
    if (next() < 0.1) inspectEncoder(tapped)
    const method = next() < 0.5 ? 'hiprune' : 'hiprune++'
    const gather = ['features', 'projector', 'feed-forward'][Math.floor(next() * 3)]
    const compiled = embedPruning(bytes, { method, gather, shape: next() < 0.5 ? 'cross' : 'square' })
    if (next() < 0.1) inspectEncoder(compiled)
    return { kind: 'understood and compiled' }
  } catch (error) {
    const fine = error instanceof HipruneError && error.message.length > 10 && !/[\n\r]/.test(error.message)
    return fine ? { kind: errorClass(error.message) } : { kind: 'FAILED', error }
  }
}

/** Messages without the parts that differ from file to file. */
function errorClass(message) {
  return message
    .replace(/"([^"\\]|\\.)*"/g, '"..."')
    .replace(/-?\d[\d.e+]*/g, '0')
    .slice(0, 90)
}

function measure(before, size, hungriest, at) {
  const after = process.memoryUsage()
  const bytes = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
  const ratio = bytes / Math.max(memoryFloor, memoryFactor * size)
  if (ratio > hungriest.ratio) Object.assign(hungriest, { ratio, bytes, at })
}

function summary(done, start, counts, slowest, hungriest, seeds) {
  const seconds = (performance.now() - start) / 1000
  const lines = [...counts].sort((a, b) => b[1] - a[1]).map(([kind, count]) => `${String(count).padStart(8)}  ${kind}`)
  const shown = lines.slice(0, 40)
  if (lines.length > shown.length) shown.push(`          and ${lines.length - shown.length} more kinds of refusal`)
  return [
    ...shown,
    `${done} mutations of ${seeds} files in ${seconds.toFixed(0)} s (Node ${process.version})`,
    `slowest ${slowest.ms.toFixed(0)} ms (mutation ${slowest.at}); most memory ${(hungriest.bytes / 2 ** 20).toFixed(1)} MiB (mutation ${hungriest.at})`,
  ].join('\n')
}
