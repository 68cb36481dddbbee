// The page of bench/browser.mjs: the same stages as `hiprune bench`, measured in a browser.
import { env } from '@huggingface/transformers'
import { loadPruned } from 'hiprune'
import { benchImage } from '../dist/evaluation/bench/bench-image.js'
import { benchModel } from '../dist/evaluation/bench/bench-model.js'
import { renderBench } from '../dist/evaluation/bench/report.js'

const MODEL = 'org/model'

/** Measures the model that this page's server holds; the task is what the command line asked for. */
async function run(task) {
  env.allowLocalModels = false
  env.remoteHost = location.origin
  // Gigabytes of random weights are not for the browser's cache.
  env.useBrowserCache = false
  const { wasm } = env.backends.onnx
  wasm.wasmPaths = `${location.origin}/wasm/`
  // Threads need a page that is isolated from other origins, which the server's headers see to.
  wasm.numThreads = crossOriginIsolated ? (task.threads ?? navigator.hardwareConcurrency) : 1
  const loaded = await loadPruned(MODEL, { dtype: task.dtype, device: task.device })
  const model = await benchModel(loaded, {
    ...task,
    source: { modelId: MODEL },
    images: [benchImage(task.seed)],
    onRun: (what, done, total) => show(`${what} ${done} of ${total}`),
  })
  await loaded.model.dispose()
  return { model, threads: wasm.numThreads, transformers: env.version, agent: navigator.userAgent }
}

/** By hand: press the button, read the report. */
async function runByHand() {
  const task = await (await fetch('/task.json')).json()
  const { model, threads, transformers, agent } = await run(task)
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    cpu: agent,
    versions: { 'Transformers.js': transformers },
    threads: String(threads),
  }
  const { command, seed, repeat } = task
  show(renderBench({ command, machine, seed, repeat, models: [model] }))
}

function show(text) {
  document.querySelector('pre').textContent = text
}

document.querySelector('button').onclick = () => runByHand().catch((error) => show(String(error)))
Object.assign(window, { run })
