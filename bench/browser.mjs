// `hiprune bench` in a browser: WebAssembly, or WebGPU where the browser has it.
//
//   npm run bench:browser                                     the embedded model in the system's Chromium
//   npm run bench:browser -- --shape vit-b-135m --device webgpu -o report.md
//   npm run bench:browser -- --serve                          only serve the page, for a browser of your own
import { createReadStream, existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { loadavg } from 'node:os'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { describeMachine } from '../dist/cli/bench-host.js'
import { writeShapeFolder } from '../dist/cli/shape-folder.js'
import { judge, questionOf, renderBench, shapeSizes } from '../dist/evaluation/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: `${root}demo-vlm` },
    shape: { type: 'string' },
    device: { type: 'string', default: 'wasm' },
    dtype: { type: 'string', default: 'fp32' },
    keep: { type: 'string', default: '1/3,2/9,1/9' },
    method: { type: 'string', default: 'hiprune' },
    repeat: { type: 'string', default: '5' },
    'max-tokens': { type: 'string', default: '8' },
    text: { type: 'string', default: '49' },
    question: { type: 'string', default: 'describe the image .' },
    threads: { type: 'string' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', short: 'o' },
    json: { type: 'boolean' },
    serve: { type: 'boolean' },
  },
})
const seed = Number(options.seed)
const words = process.argv.slice(2).map((word) => (word.startsWith('/') ? basename(word) : word))
const task = {
  name: options.shape ? `${options.shape}, random weights` : basename(resolve(options.model)),
  command: ['npm run bench:browser', ...(words.length > 0 ? ['--', ...words] : [])].join(' '),
  device: options.device,
  dtype: options.dtype,
  budgets: options.keep.split(','),
  method: options.method,
  repeat: Number(options.repeat),
  newTokens: Number(options['max-tokens']),
  // <s>, USER: and ASSISTANT: are tokens of the prompt too.
  question: options.shape ? questionOf(Number(options.text) - 3) : options.question,
  ...(options.threads && { threads: Number(options.threads) }),
  seed,
}

/** Files of the model, of ONNX Runtime and of the page; isolated, so that WebAssembly may use threads. */
function serve(folder, script) {
  const page =
    '<!doctype html><title>hiprune bench</title><button>run</button><pre></pre><script type="module" src="/page.js"></script>'
  const texts = {
    '/': ['text/html', page],
    '/page.js': ['text/javascript', script],
    '/task.json': ['application/json', JSON.stringify(task)],
  }
  const folders = { '/wasm/': `${root}node_modules/onnxruntime-web/dist/`, '/org/model/resolve/main/': `${folder}/` }
  const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
  return createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    const [type, text] = texts[path] ?? []
    if (text) return response.writeHead(200, { 'content-type': type, ...isolation }).end(text)
    const prefix = Object.keys(folders).find((start) => path.startsWith(start))
    const file = prefix && !path.includes('..') ? folders[prefix] + path.slice(prefix.length) : ''
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end()
    const isScript = /\.m?js$/.test(file)
    const mime = isScript ? 'text/javascript' : file.endsWith('.wasm') ? 'application/wasm' : 'application/octet-stream'
    const { size } = statSync(file)
    if (request.headers.range) {
      response.writeHead(206, { 'content-range': `bytes 0-0/${size}`, 'content-length': 1 })
      return createReadStream(file, { start: 0, end: 0 }).pipe(response)
    }
    response.writeHead(200, { 'content-type': mime, 'content-length': size, ...isolation })
    return createReadStream(file).pipe(response)
  })
}

/** The page in the system's Chromium; HIPRUNE_CHROMIUM names another one. */
async function runInChromium(url) {
  const places = [
    process.env.HIPRUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ]
  const executablePath = places.find((file) => file && existsSync(file))
  if (!executablePath)
    throw new Error('no Chromium found; set HIPRUNE_CHROMIUM, or use --serve and a browser of your own')
  const gpu = options.device === 'webgpu' ? ['--enable-unsafe-webgpu', '--enable-features=Vulkan'] : ['--disable-gpu']
  const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', ...gpu] })
  try {
    const page = await browser.newPage()
    await page.goto(url)
    await page.waitForFunction('window.run')
    const result = await page.evaluate(`run(${JSON.stringify(task)})`)
    return { ...result, version: browser.version() }
  } finally {
    await browser.close()
  }
}

const load = loadavg()[0]
const bundle = await build({
  entryPoints: [`${root}bench/browser-page.mjs`],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  logLevel: 'error',
})
const shape = options.shape && (await writeShapeFolder(shapeSizes(options.shape), seed, undefined))
const server = serve(shape ? shape.folder : resolve(options.model), bundle.outputFiles[0].text)
await new Promise((listening) => server.listen(options.serve ? 8000 : 0, '127.0.0.1', listening))
const url = `http://127.0.0.1:${server.address().port}/`
if (options.serve) {
  console.error(`open ${url}; Ctrl+C ends it`)
  await new Promise((stopped) => process.once('SIGINT', stopped))
} else {
  const { model, threads, version } = await runInChromium(url).finally(() => shape && shape.remove())
  const machine = describeMachine(String(threads), load)
  const { hiprune, 'Transformers.js': transformers } = machine.versions
  const report = {
    command: task.command,
    machine: { ...machine, versions: { hiprune, Chromium: version, 'Transformers.js': transformers } },
    seed,
    repeat: task.repeat,
    models: [model],
  }
  const text = renderBench(report)
  if (options.out) writeFileSync(options.out, `${text}\n`)
  console.log(options.json ? JSON.stringify({ ...report, goals: judge(report.models) }, null, 2) : text)
}
await (options.serve && shape ? shape.remove() : undefined)
server.closeAllConnections()
server.close()
