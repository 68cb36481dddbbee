// What the study costs: `npm run bench:study`. See --help.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import * as ort from 'onnxruntime-node'
import * as prettier from 'prettier'

const HELP = `Usage: npm run bench:study -- [options]
  --images N    images to measure, the held-out ones over and over (default: 1000)
  --repeat N    measured runs of each kind of taps (default: 30)
  --write       write docs/study/cost.md as well
Example: npm run bench:study -- --images 200 --repeat 10`

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = path.join(root, 'demo-vlm/benchmark')
const runFile = promisify(execFile)
const { values: options } = parseArgs({
  options: {
    images: { type: 'string', default: '1000' },
    repeat: { type: 'string', default: '30' },
    case: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (options.help) console.log(HELP)
else if (options.case) console.log(JSON.stringify(await runCase(options.case)))
else await main()

async function main() {
  const lines = [heading()]
  const study = await inProcess('study')
  lines.push(studyPart(study))
  const names = ['none', 'two', 'all', 'chunks']
  const memory = []
  for (const name of names) memory.push(await inProcess(`memory-${name}`))
  lines.push(tapsPart(await inProcess('taps'), names, memory))
  const text = lines.join('\n\n')
  console.log(text)
  if (!options.write) return
  const target = path.join(root, 'docs/study/cost.md')
  writeFileSync(target, await prettier.format(text, { ...(await prettier.resolveConfig(target)), filepath: target }))
}

/** A case in a process of its own, so that memory of one does not count for another. */
async function inProcess(name) {
  const args = [
    '--expose-gc',
    fileURLToPath(import.meta.url),
    '--case',
    name,
    '--images',
    options.images,
    '--repeat',
    options.repeat,
  ]
  const { stdout } = await runFile(process.execPath, args, { maxBuffer: 2 ** 26 })
  return JSON.parse(stdout)
}

async function runCase(name) {
  if (name === 'study') return await studyCase(Number(options.images))
  if (name === 'taps') return await tapsCase(Number(options.repeat))
  return await memoryCase(name.slice('memory-'.length))
}

async function openEncoder(tapMemory) {
  const { openModelEncoder } = await import('../dist/analysis/index.js')
  const createSession = ({ bytes }) => ort.InferenceSession.create(bytes, { logSeverityLevel: 3 })
  return await openModelEncoder(path.join(root, 'demo-vlm'), { createSession, ...(tapMemory && { tapMemory }) })
}

/** Milliseconds an image and memory after 10, 100, 250, ... images, garbage collected. */
async function studyCase(count) {
  const { measureImages, StudyTotals } = await import('../dist/analysis/index.js')
  const { readImage } = await import('../dist/node.js')
  const { readMask } = await import('../dist/cli/study-masks.js')
  const encoder = await openEncoder()
  const names = readdirSync(path.join(folder, 'images')).sort()
  const images = Array.from({ length: count }, (_, i) => {
    const name = names[i % names.length]
    const mask = path.join(folder, 'masks', `${path.parse(name).name}.png`)
    return {
      name: `${i}-${name}`,
      load: () => readImage(path.join(folder, 'images', name)),
      loadMask: () => readMask(mask, new Set([0, 255])),
    }
  })
  const totals = new StudyTotals(encoder.info.layers.length, 0)
  const samples = []
  const wanted = [10, 50, 100, 250, 500, 750, count].filter((at) => at <= count)
  const start = performance.now()
  await measureImages(encoder, images, totals, (done) => {
    if (!wanted.includes(done)) return
    globalThis.gc()
    const { rss, heapUsed, external } = process.memoryUsage()
    samples.push({
      done,
      seconds: (performance.now() - start) / 1000,
      rss,
      heap: heapUsed + external,
      state: JSON.stringify(totals).length,
    })
  })
  return { samples, layers: encoder.info.layers.length }
}

/** Median and spread of the encoder alone with no, two and all taps, in turn. */
async function tapsCase(repeat) {
  const { inspectEncoder, tapAttention } = await import('../dist/onnx/index.js')
  const { bytes, layers, feeds } = pixels(inspectEncoder)
  const kinds = {
    none: bytes,
    two: tapAttention(bytes, { layers: layers.slice(-2) }),
    all: tapAttention(bytes, { layers }),
  }
  const sessions = {}
  for (const [kind, file] of Object.entries(kinds))
    sessions[kind] = await ort.InferenceSession.create(file, { logSeverityLevel: 3 })
  const times = { none: [], two: [], all: [] }
  for (let run = -3; run < repeat; run++) {
    for (const kind of Object.keys(times)) {
      const start = performance.now()
      await sessions[kind].run(feeds)
      if (run >= 0) times[kind].push(performance.now() - start)
    }
  }
  return times
}

/** Peak memory of a process that runs one kind of taps a few times; 'chunks' allows maps of two layers. */
async function memoryCase(kind) {
  const { inspectEncoder, tapAttention } = await import('../dist/onnx/index.js')
  const { bytes, layers, feeds } = pixels(inspectEncoder)
  const pairs = layers.filter((layer) => layer % 2 === 1).map((layer) => layers.slice(layer - 1, layer + 1))
  const chunks = { none: [[]], two: [layers.slice(-2)], all: [layers], chunks: pairs }[kind]
  for (const chunk of chunks) {
    const file = chunk.length > 0 ? tapAttention(bytes, { layers: chunk }) : bytes
    const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 })
    for (let run = 0; run < 3; run++) await session.run(feeds)
    await session.release()
  }
  return { peak: process.resourceUsage().maxRSS * 1024 }
}

/** A batch of 8 grey images of the encoder's size. */
function pixels(inspectEncoder) {
  const bytes = new Uint8Array(readFileSync(path.join(root, 'demo-vlm/onnx/vision_encoder.onnx')))
  const info = inspectEncoder(bytes)
  const side =
    info.imageSize ?? JSON.parse(readFileSync(path.join(root, 'demo-vlm/config.json'), 'utf8')).vision_config.image_size
  const values = Float32Array.from({ length: 8 * 3 * side * side }, (_, i) => ((i * 7919) % 255) / 255 - 0.5)
  const feeds = { [info.inputs[0].name]: new ort.Tensor('float32', values, [8, 3, side, side]) }
  return { bytes, layers: info.layers.map(({ layer }) => layer), feeds }
}

function heading() {
  const [cpu] = os.cpus()
  return `# Cost of the study\n\nWritten by \`npm run bench:study -- --write\`; do not edit. ${os.cpus().length} x ${cpu?.model.trim()}, Node ${process.version}, onnxruntime-node ${JSON.parse(readFileSync(path.join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8')).version}, seed 0, load average ${os.loadavg()[0].toFixed(1)} at the start.`
}

function studyPart({ samples, layers }) {
  const rows = samples.map(
    ({ done, seconds, rss, heap, state }) =>
      `| ${done} | ${seconds.toFixed(1)} | ${((1000 * seconds) / done).toFixed(0)} | ${mebibytes(rss)} | ${mebibytes(heap)} | ${(state / 1024).toFixed(0)} |`,
  )
  return [
    `## ${samples.at(-1).done} images of the embedded model, all ${layers} layers, with masks`,
    'The held-out images over and over: decoding, preprocessing, encoder with taps, every quantity. Memory after garbage collection; the state is what a stopped study stores.',
    [
      '| images | seconds | ms an image | process MiB | JavaScript MiB | state KiB |',
      '|---|---|---|---|---|---|',
      ...rows,
    ].join('\n'),
  ].join('\n\n')
}

function tapsPart(times, names, memory) {
  const base = median(times.none)
  const rows = names.map((name, i) => {
    const own = times[name]
    const time = own
      ? `${median(own).toFixed(1)} | ${deviation(own).toFixed(1)} | ${(median(own) / base).toFixed(2)}`
      : '| |'
    return `| ${{ none: 'no taps', two: 'two layers', all: 'all layers', chunks: 'all layers, two a run' }[name]} | ${time} | ${mebibytes(memory[i].peak)} |`
  })
  return [
    '## All-layer taps against two',
    `The encoder alone, a batch of 8 images, median of ${times.none.length} alternating runs; peak memory of a process of its own. ONNX Runtime keeps the attention maps of every tapped layer until the end of a run, so that chunks of layers bound its memory.`,
    ['| taps | median ms | deviation | against none | peak MiB |', '|---|---|---|---|---|', ...rows].join('\n'),
  ].join('\n\n')
}

function mebibytes(bytes) {
  return (bytes / 2 ** 20).toFixed(0)
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

function deviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}
