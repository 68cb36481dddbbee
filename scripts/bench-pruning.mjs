// What selecting tokens costs, per method: `npm run bench:methods`. See --help.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import * as ort from 'onnxruntime-node'
import * as prettier from 'prettier'

const HELP = `Usage: npm run bench:methods -- [options]
  --methods LIST   names, comma separated (default: all)
  --sizes LIST     tokens N of a square grid (default: 576,2880,11664)
  --widths LIST    feature widths D (default: 1024,4096)
  --divisors LIST  keep K = N / divisor (default: 3,9)
  --cap SECONDS    give a case up after so long (default: 120)
  --seed SEED      of the random features and scores (default: 1)
  --results FILE   keep every case's numbers in FILE, and do not run again what it holds: a long bench can be resumed
  --write          write docs/bench-methods.md as well
Example: npm run bench:methods -- --methods hiprune,divprune --sizes 576 --widths 1024`

/** Methods that compare all tokens with each other. */
const COMPARING = new Set(['vispruner', 'divprune', 'scope', 'cdpruner'])
const runFile = promisify(execFile)
let rate
const { values: options } = parseArgs({
  options: {
    methods: { type: 'string' },
    sizes: { type: 'string', default: '576,2880,11664' },
    widths: { type: 'string', default: '1024,4096' },
    divisors: { type: 'string', default: '3,9' },
    cap: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
    results: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (options.help) console.log(HELP)
else await main()

async function main() {
  const { prunerNames } = await import('../node_modules/.cache/hiprune-bench/pruning/index.js')
  const methods = options.methods?.split(',') ?? prunerNames
  const list = (text) => text.split(',').map(Number)
  const lines = []
  const print = (line) => {
    lines.push(line)
    console.log(line)
  }
  print(await heading())
  const encoders = new Map()
  for (const size of list(options.sizes)) encoders.set(size, await encoderMs(size))
  print(encoderNote(encoders))
  const known = options.results && existsSync(options.results) ? JSON.parse(readFileSync(options.results, 'utf8')) : {}
  const results = []
  for (const width of list(options.widths)) {
    for (const divisor of list(options.divisors)) {
      print(tableHead(width, divisor))
      for (const method of methods) {
        for (const size of list(options.sizes)) {
          const asked = { method, size, width, divisor, seed: Number(options.seed) }
          const result = (known[JSON.stringify(asked)] ??= await runCase(asked))
          if (options.results) writeFileSync(options.results, JSON.stringify(known))
          results.push(result)
          print(tableRow(result, encoders.get(size)))
        }
      }
    }
  }
  print(growthTable(methods, results))
  const load = results.map((each) => each.load).sort((a, b) => a - b)
  print(`\nLoad average while the cases ran: ${load[0]} to ${load.at(-1)}, median ${load[load.length >> 1]}.`)
  if (options.write) await writeReport(lines.join('\n'))
}

/** Laid out as the repository's other texts. */
async function writeReport(text) {
  const file = fileURLToPath(new URL('../docs/bench-methods.md', import.meta.url))
  const config = await prettier.resolveConfig(file)
  writeFileSync(file, await prettier.format(text, { ...config, filepath: file }))
}

/** One case in a process of its own, so that its peak memory is its own too. */
async function runCase(asked) {
  const file = fileURLToPath(new URL('bench-pruning-case.mjs', import.meta.url))
  const args = ['--expose-gc', file, JSON.stringify(asked)]
  const load = Number(os.loadavg()[0].toFixed(1))
  try {
    const { stdout } = await runFile(process.execPath, args, { timeout: Number(options.cap) * 1000 })
    return { ...asked, load, ...JSON.parse(stdout) }
  } catch (error) {
    return {
      ...asked,
      load,
      skipped: error.killed ? `over ${options.cap} s` : String(error.stderr ?? error).split('\n')[0],
    }
  }
}

function heading() {
  const lock = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const [{ model }] = os.cpus()
  return `# Cost of the selection methods

Made by \`npm run bench:methods -- --write\`; docs/methods.md says what the methods do.

- Machine: ${model.trim()}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB; one core is used.
- Versions: hiprune ${lock.version}, Node ${process.version}, V8 ${process.versions.v8}.
- Input: seed ${options.seed}; uniform scores; features and keys of width D in 40 clusters, with noise as large as the clusters are wide.
- ms: median time of up to 50 runs in about 2 s, after one that is not counted unless it took 2 s itself. CPU ms: mean processor time of a
  run, which other load on the machine hardly changes, but which counts the compiler's threads too. Shares and growth take the
  smaller of the two.
- memory: growth of the process's resident memory during one run, at its peak; inputs not included.
- ratio: CPU time over that of the N^2/2 products of all pairs (N^2 D / 2 multiplications) at the rate, in brackets, of the same
  float32 kernel on data in the cache, measured in the same process just before and after. For methods that compare tokens
  with each other; it can be below 1, because cdpruner needs fewer products.
- encoder: the method's time as a share of the vision encoder's.
- hiprune++ and cdpruner include the relevance of D-wide features to a question.`
}

/** Multiplications of CLIP-L/14's 24 layers of width 1024 at N tokens, at the rate of onnxruntime's matrix product on one core. */
async function encoderMs(size) {
  const multiplications = 24 * (12 * 1024 ** 2 * size + 2 * size ** 2 * 1024)
  return multiplications / (await matMulRate()) / 1000
}

/** Multiplications a microsecond of processor time of onnxruntime-node, float32, one thread. */
async function matMulRate() {
  if (rate) return rate
  const session = await ort.InferenceSession.create(matMulModel(), { intraOpNumThreads: 1 })
  const tensor = (rows, columns) =>
    new ort.Tensor('float32', new Float32Array(rows * columns).fill(0.5), [rows, columns])
  const feeds = { a: tensor(577, 1024), b: tensor(1024, 4096) }
  await session.run(feeds)
  const start = process.cpuUsage()
  for (let run = 0; run < 8; run++) await session.run(feeds)
  const { user, system } = process.cpuUsage(start)
  rate = (8 * 577 * 1024 * 4096) / (user + system)
  return rate
}

/** The bytes of an ONNX model with one MatMul of `a` and `b`. */
function matMulModel() {
  const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])
  const number = (field, value) => [field << 3, ...varint(value)]
  const message = (field, ...parts) => [(field << 3) | 2, ...varint(parts.flat().length), ...parts.flat()]
  const text = (field, value) => message(field, [...Buffer.from(value)])
  const dimension = (name) => message(1, text(2, name))
  const shape = (name) => message(2, dimension(`${name}0`), dimension(`${name}1`))
  const value = (field, name) => message(field, text(1, name), message(2, message(1, number(1, 1), shape(name))))
  const node = message(1, text(1, 'a'), text(1, 'b'), text(2, 'c'), text(4, 'MatMul'))
  const graph = message(7, node, text(2, 'g'), value(11, 'a'), value(11, 'b'), value(12, 'c'))
  return Uint8Array.from([...number(1, 8), ...graph, ...message(8, number(2, 13))])
}

function encoderNote(encoders) {
  const times = [...encoders].map(([size, ms]) => `${(ms / 1000).toFixed(1)} s at ${size}`).join(', ')
  return `- The encoder is estimated: CLIP-L/14's multiplications (24 layers of width 1024) at onnxruntime-node's measured rate
  on one core, ${(rate / 1000).toFixed(1)} G/s: ${times} tokens.`
}

function tableHead(width, divisor) {
  return `\n## D = ${width}, K = N/${divisor}\n
| method | N | K | ms | CPU ms | runs | memory MB | ratio | encoder |
|---|--:|--:|--:|--:|--:|--:|--:|--:|`
}

function tableRow({ method, size, divisor, width, skipped, ms, cpuMs, runs, memoryMb, multiplyRate }, encoder) {
  const keep = Math.round(size / divisor)
  if (skipped) return `| ${method} | ${size} | ${keep} | skipped: ${skipped} | | | | | |`
  const ratio = (cpuMs * multiplyRate * 1000) / ((size * size * width) / 2)
  const compared = COMPARING.has(method) ? `${ratio.toFixed(2)} (${(multiplyRate / 1000).toFixed(1)} G/s)` : ''
  const share = `${Number(((100 * Math.min(ms, cpuMs)) / encoder).toPrecision(2))} %`
  return `| ${method} | ${size} | ${keep} | ${digits(ms)} | ${digits(cpuMs)} | ${runs} | ${memoryMb ?? ''} | ${compared} | ${share} |`
}

function digits(ms) {
  return ms < 10 ? ms.toFixed(3) : ms.toFixed(0)
}

function growthTable(methods, results) {
  const columns = [...new Set(results.map(({ width, divisor }) => `${width} ${divisor}`))].map((key) =>
    key.split(' ').map(Number),
  )
  const head = columns.map(([width, divisor]) => `D ${width}, N/${divisor}`).join(' | ')
  const rows = methods.map((method) => {
    const cells = columns.map(([width, divisor]) => {
      return exponent(
        results.filter((each) => each.method === method && each.width === width && each.divisor === divisor),
      )
    })
    return `| ${method} | ${cells.join(' | ')} |`
  })
  return `\n## Growth\n\nTime grows about as N to the power of (least squares over the sizes, in logarithms):\n
| method | ${head} |\n|---|${columns.map(() => '--:').join('|')}|\n${rows.join('\n')}`
}

function exponent(results) {
  const points = results
    .filter(({ skipped }) => !skipped)
    .map(({ size, ms, cpuMs }) => [Math.log(size), Math.log(Math.min(ms, cpuMs))])
  if (points.length < 2) return ''
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const slope =
    points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0) / points.reduce((sum, [a]) => sum + (a - x) ** 2, 0)
  return slope.toFixed(2)
}
