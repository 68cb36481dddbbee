import { RawImage, env, type Tensor } from '@huggingface/transformers'
import { ask, loadPruned, unprune } from 'hiprune'
import { inspectEncoder } from 'hiprune/onnx'

/** What the page is asked for; the pixels are RGB. */
export interface PageTask {
  readonly pixels: number[]
  readonly side: number
  readonly inputIds: number[]
  readonly golden: { readonly keep: number; readonly alpha: number; readonly objectLayer: number }
}

/** Loads tiny-llava from the server that served this page, prunes, and answers as in Node. */
async function run({ pixels, side, inputIds, golden }: PageTask) {
  env.allowLocalModels = false
  env.remoteHost = location.origin
  const wasm = env.backends.onnx.wasm as { wasmPaths?: unknown; numThreads?: number }
  wasm.wasmPaths = `${location.origin}/wasm/`
  wasm.numThreads = 1
  const loaded = await loadPruned('org/model', { ...golden, borders: 'clamp', dtype: 'fp32', device: 'wasm' })
  const image = new RawImage(Uint8ClampedArray.from(pixels), side, side, 3)
  const { pixel_values } = await (
    loaded.processor as unknown as (image: RawImage) => Promise<{ pixel_values: Tensor }>
  )(image)
  const { Tensor: TensorClass } = await import('@huggingface/transformers')
  const ids = (values: number[]) => new TensorClass('int64', BigInt64Array.from(values, BigInt), [1, values.length])
  const inputs = { pixel_values, input_ids: ids(inputIds), attention_mask: ids(inputIds.map(() => 1)) }
  const greedy = async () => {
    const options = { max_new_tokens: 8, do_sample: false, eos_token_id: 99_999 }
    const output = (await loaded.model.generate({ ...inputs, ...options } as never)) as Tensor
    return (output.tolist() as bigint[][])[0]!.slice(inputIds.length).map(Number)
  }
  const pruned = await greedy()
  const plusPlus = await ask(loaded, [image], 'What is it?', { method: 'hiprune++', max_new_tokens: 2 })
  unprune(loaded.model)
  const file = await fetch('/org/model/resolve/main/onnx/vision_encoder.onnx')
  const { layers } = inspectEncoder(new Uint8Array(await file.arrayBuffer()))
  return { pruned, full: await greedy(), keptByText: plusPlus.keptTokens, layers: layers.length }
}

Object.assign(window, { run })
