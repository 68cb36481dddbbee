// What tapping and in-graph pruning cost, as ratios within one run. Prints the two tables of docs/bench-onnx.md:
//
//   npm run bench:onnx                      all of it, some ten minutes on two cores
//   npm run bench:onnx -- --layers 4 --repeat 3     a quick look
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { embedPruning, inspectEncoder, tapAttention } from '../dist/onnx/index.js'
import { clipBase, clipLarge336, visionTransformer } from './vit-model.mjs'

const { values } = parseArgs({
  options: {
    repeat: { type: 'string', default: '7' },
    layers: { type: 'string', default: String(clipLarge336.layers) },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
  },
})
const repeat = Number(values.repeat)
const seed = Number(values.seed)
const threads = Number(values.threads)
const shape = { ...clipLarge336, layers: Number(values.layers) }
const keep = 192

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
const spread = (list) => `${Math.min(...list).toFixed(2)} to ${Math.max(...list).toFixed(2)}`
const milliseconds = (ms) => (ms < 10 ? ms.toFixed(2) : ms.toFixed(0))

function machine() {
  const { version } = JSON.parse(
    readFileSync(new URL('../node_modules/onnxruntime-node/package.json', import.meta.url), 'utf8'),
  )
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`
  return `Node ${process.version}, onnxruntime-node ${version}, ${cpus().length} x ${cpus()[0]?.model.trim()}, ${memory}; seed ${seed}, ${repeat} runs`
}

/** Table 1: bytes in, bytes out. */
async function benchTapping() {
  const file = visionTransformer(clipBase, { seed })
  const external = visionTransformer(clipBase, { external: true })
  const { deepLayer, suggestedObjectLayer } = inspectEncoder(file)
  const layers = [suggestedObjectLayer, deepLayer]
  const tap = timesOf([() => file.slice(), () => tapAttention(file, { layers })])
  const compile = timesOf([() => file.slice(), () => embedPruning(file)])
  const small = timesOf([() => external.slice(), () => tapAttention(external, { layers })])
  const folder = mkdtempSync(join(tmpdir(), 'hiprune-bench-'))
  const path = join(folder, 'vit.onnx')
  writeFileSync(path, file)
  const idle = memoryOf('read', path)[1]
  const memoryOver = (what) => {
    const [size, peak] = memoryOf(what, path)
    return `${((peak - idle) / size).toFixed(2)} x`
  }
  const rows = [
    ['', 'time', 'over a copy', 'range', 'extra peak memory over the file'],
    ['tap', `${milliseconds(median(tap[1]))} ms`, ratioOf(tap), spreadOf(tap), memoryOver('tap')],
    ['compile', `${milliseconds(median(compile[1]))} ms`, ratioOf(compile), spreadOf(compile), memoryOver('compile')],
    ['copy', `${milliseconds(median(tap[0]))} ms`, '1.00', '', memoryOver('copy')],
    ['tap, external data', `${milliseconds(median(small[1]))} ms`, '', '', ''],
  ]
  console.log(`Table 1. A ViT-B/16 of ${(file.length / 1e6).toFixed(0)} MB (float32), ${layers.length} layers tapped\n`)
  printTable(rows)
  rmSync(folder, { recursive: true })
}

/** Runs every function in turn, `repeat` times, after one round of warming up. */
function timesOf(functions) {
  const times = functions.map(() => [])
  for (let round = -1; round < repeat; round++) {
    for (const [i, run] of functions.entries()) {
      const start = performance.now()
      if (run().length === 0) throw new Error('nothing was made')
      if (round >= 0) times[i].push(performance.now() - start)
    }
  }
  return times
}

const ratioOf = ([copy, other]) => median(other.map((ms, i) => ms / copy[i])).toFixed(2)
const spreadOf = ([copy, other]) => spread(other.map((ms, i) => ms / copy[i]))

/** Peak resident memory of a process of its own: [file size, peak], in bytes. */
function memoryOf(what, ...args) {
  const script = fileURLToPath(new URL('onnx-memory.mjs', import.meta.url))
  const peaks = [0, 1].map(() =>
    JSON.parse(execFileSync(process.execPath, [script, what, ...args.map(String)], { encoding: 'utf8' })),
  )
  return peaks.reduce((best, next) => (next[1] < best[1] ? next : best))
}

/** Table 2: the encoder itself. */
async function benchEncoder() {
  const rows = [['attention', 'variant', 'time', 'over untapped', 'range', 'in added nodes', 'extra peak memory']]
  for (const attention of ['softmax', 'multi-head-attention', 'attention']) rows.push(...(await encoderRows(attention)))
  const name =
    shape.layers === clipLarge336.layers
      ? 'ViT-L/14 at 336 pixels'
      : `${shape.layers} layers of a ViT-L/14 at 336 pixels`
  console.log(`\nTable 2. ${name}, 577 tokens, random weights, ${threads} threads; pruned to ${keep} tokens\n`)
  printTable(rows)
}

async function encoderRows(attention) {
  const plain = visionTransformer(shape, { attention, seed, shareLayers: true })
  const info = inspectEncoder(plain)
  const variants = {
    untapped: plain,
    '2 layers tapped': tapAttention(plain, { layers: [info.suggestedObjectLayer, info.deepLayer] }),
    // How attention is written matters to the tap only: pruning is compared once.
    ...(attention === 'softmax' && {
      'pruned in the graph': embedPruning(plain),
      'pruned before the projector': embedPruning(plain, { gather: 'projector' }),
      'pruned before the last feed-forward': embedPruning(plain, { gather: 'feed-forward' }),
    }),
  }
  const { times, shares } = await alternate(Object.values(variants))
  const names = Object.keys(variants)
  const peaks = encoderPeaks(Object.values(variants).slice(0, 2))
  return names.map((name, i) => {
    const ratios = times[i].map((ms, round) => ms / times[0][round])
    const extra = i === 1 ? `${((peaks[1] - peaks[0]) / 2 ** 20).toFixed(1)} MiB` : ''
    const share = i > 0 ? `${(shares[i] * 100).toFixed(2)} %` : ''
    return [
      i === 0 ? attention : '',
      name,
      `${milliseconds(median(times[i]))} ms`,
      median(ratios).toFixed(3),
      i > 0 ? spread(ratios) : '',
      share,
      extra,
    ]
  })
}

/** Peak memory while each file runs, loaded from disk so that this process's copies do not count. */
function encoderPeaks(files) {
  const folder = mkdtempSync(join(tmpdir(), 'hiprune-bench-'))
  const peaks = files.map((file, i) => {
    const path = join(folder, `${i}.onnx`)
    writeFileSync(path, file)
    return memoryOf('encode', path, shape.image)[1]
  })
  rmSync(folder, { recursive: true })
  return peaks
}

/** One session at a time in memory would hide the machine's drift: all are loaded, and run in turn. */
async function alternate(files) {
  const pixels = new Float32Array(3 * shape.image ** 2).map((_, i) => Math.sin(i * 0.01))
  const feeds = { pixel_values: new Tensor('float32', pixels, [1, 3, shape.image, shape.image]) }
  const options = { intraOpNumThreads: threads, logSeverityLevel: 3 }
  const sessions = []
  for (const file of files) sessions.push(await InferenceSession.create(file, options))
  const times = sessions.map(() => [])
  for (let round = -1; round < repeat; round++) {
    for (const [i, session] of sessions.entries()) {
      const start = performance.now()
      await session.run(feedsOf(session, feeds))
      if (round >= 0) times[i].push(performance.now() - start)
    }
  }
  for (const session of sessions) await session.release()
  const shares = []
  for (const file of files) shares.push(await shareOfAddedNodes(file, feeds, options))
  return { times, shares }
}

function feedsOf(session, feeds) {
  return session.inputNames.includes('K')
    ? { ...feeds, K: new Tensor('int64', BigInt64Array.of(BigInt(keep)), [1]) }
    : feeds
}

/** The runtime's own profile: time in nodes that were added, over time in all nodes. Free of the machine's drift. */
async function shareOfAddedNodes(file, feeds, options) {
  const folder = mkdtempSync(join(tmpdir(), 'hiprune-profile-'))
  const profileFilePrefix = join(folder, 'run')
  const session = await InferenceSession.create(file, { ...options, enableProfiling: true, profileFilePrefix })
  await session.run(feedsOf(session, feeds))
  session.endProfiling()
  await session.release()
  const [profile] = readdirSync(folder)
  const events = JSON.parse(readFileSync(join(folder, profile), 'utf8')).filter(
    ({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'),
  )
  rmSync(folder, { recursive: true })
  // What runs inside a Loop's body is listed beside the Loop itself, which holds its time.
  const loops = events.filter(({ args }) => args.op_name === 'Loop')
  const isInside = (event) =>
    loops.some((loop) => event !== loop && event.ts >= loop.ts && event.ts < loop.ts + loop.dur)
  const outer = events.filter((event) => !isInside(event))
  const sum = (list) => list.reduce((total, { dur }) => total + dur, 0)
  return sum(outer.filter(({ name: node }) => node.startsWith('hiprune/'))) / sum(outer)
}

function printTable(rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  console.log(line(rows[0]))
  console.log(line(rows[0].map(() => '---')))
  for (const row of rows.slice(1)) console.log(line(row))
}

console.log(machine(), '\n')
await benchTapping()
await benchEncoder()
