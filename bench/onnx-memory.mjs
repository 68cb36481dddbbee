// Peak resident memory of one piece of work in a process of its own: prints [file size, peak in bytes].
import { readFileSync, writeFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { embedPruning, tapAttention } from '../dist/onnx/index.js'

const [what, path, side] = process.argv.slice(2)
if (what === 'encode') await encode(Number(side))
else bytesOnly()

async function encode(size) {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 2, logSeverityLevel: 3 })
  const pixels = new Float32Array(3 * size ** 2).fill(0.1)
  // Loading needs more memory than running and would hide it: the peak is counted from here (Linux).
  writeFileSync('/proc/self/clear_refs', '5')
  await session.run({ pixel_values: new Tensor('float32', pixels, [1, 3, size, size]) })
  report(0)
}

/** The file is read whole, as any caller has it; what the work adds to that is what counts. */
function bytesOnly() {
  const file = new Uint8Array(readFileSync(path))
  const layers = [4, 12]
  const work = {
    read: () => file,
    copy: () => file.slice(),
    tap: () => tapAttention(file, { layers }),
    compile: () => embedPruning(file),
  }
  const result = work[what]()
  if (result.length === 0) throw new Error('nothing was made')
  report(file.length)
}

function report(size) {
  const peak = /VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))
  console.log(JSON.stringify([size, Number(peak[1]) * 1024]))
}
