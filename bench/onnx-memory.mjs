// Peak resident memory of one piece of work in a process of its own: prints [file size, peak in bytes].
import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { embedPruning, inspectEncoder, tapAttention } from '../dist/onnx/index.js'
import { clipLarge336, visionTransformer } from './vit-model.mjs'

const [what, attention, layers, variant] = process.argv.slice(2)
if (what === 'encode') await encode()
else bytesOnly()

async function encode() {
  const shape = { ...clipLarge336, layers: Number(layers) }
  const plain = visionTransformer(shape, { attention, shareWeights: true })
  const { suggestedObjectLayer, deepLayer } = inspectEncoder(plain)
  const file = variant === 'tapped' ? tapAttention(plain, { layers: [suggestedObjectLayer, deepLayer] }) : plain
  const session = await InferenceSession.create(file, { intraOpNumThreads: 2, logSeverityLevel: 3 })
  const pixels = new Float32Array(3 * shape.image ** 2).fill(0.1)
  for (let i = 0; i < 2; i++)
    await session.run({ pixel_values: new Tensor('float32', pixels, [1, 3, shape.image, shape.image]) })
  report(plain.length)
}

/** The file is read whole, as any caller has it; what the work adds to that is what counts. */
function bytesOnly() {
  const file = new Uint8Array(readFileSync(attention))
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
  console.log(JSON.stringify([size, process.resourceUsage().maxRSS * 1024]))
}
