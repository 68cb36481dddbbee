import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { build } from 'esbuild'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { embedPruning } from '../../src/onnx/index.js'
import { repository } from '../cli.js'
import { chromiumFlags, chromiumPath } from '../analysis/chromium.js'
import { oracleRoot } from '../golden.js'
import { readModelFile } from './oracle-models.js'

/** The browser's ten lines of docs/onnx.md, for the tiny model: smaller images, fewer tokens, a function around them. */
function snippet(): string {
  const text = readFileSync(`${repository}docs/onnx.md`, 'utf8')
  const block = /```js\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const [first = '', ...lines] = block.replaceAll('336', '112').replace('192n', '16n').trim().split('\n')
  expect(lines.length + 1).toBeLessThanOrEqual(10)
  const setUp = `${first}\nort.env.wasm.wasmPaths = location.origin + '/'\nort.env.wasm.numThreads = 1\n`
  const result =
    'return { dims: image_features.dims, kept: [...kept_indices.data].map(Number), roles: [...roles.data], pixels: [...pixels.data] }'
  return `${setUp}window.run = async (file) => {\n${lines.join('\n')}\n${result}\n}`
}

interface PageResult {
  dims: number[]
  kept: number[]
  roles: number[]
  pixels: number[]
}

describe.skipIf(!chromiumPath)('docs/onnx.md in a browser (needs Chromium)', () => {
  const model = embedPruning(readModelFile('tiny-llava/onnx/vision_encoder.onnx'))
  let server: Server
  let browser: Browser
  beforeAll(async () => {
    const stdin = { contents: snippet(), resolveDir: repository }
    const bundle = await build({
      stdin,
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      logLevel: 'error',
    })
    server = createServer((request, response) => {
      const path = request.url ?? '/'
      const script = path.endsWith('js')
      response.setHeader(
        'content-type',
        path === '/'
          ? 'text/html'
          : script
            ? 'text/javascript'
            : path.endsWith('.wasm')
              ? 'application/wasm'
              : 'application/octet-stream',
      )
      if (path === '/') response.end('<!doctype html><script type="module" src="/page.js"></script>')
      else if (path === '/page.js') response.end(bundle.outputFiles[0]?.text)
      else if (path.endsWith('.onnx')) response.end(model)
      else response.end(existsSync(dist(path)) ? readFileSync(dist(path)) : undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    browser = await chromium.launch({
      executablePath: chromiumPath as string,
      args: chromiumFlags,
    })
  })
  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    server?.close()
  })
  const dist = (path: string): string => `${repository}node_modules/onnxruntime-web/dist/${path.slice(1)}`

  it('the ten lines run and keep what Node keeps', async () => {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await page.waitForFunction('window.run')
    const image = readFileSync(`${oracleRoot}golden/images/tiny-llava_0.png`).toString('base64')
    const result = (await page.evaluate(
      `fetch('data:image/png;base64,${image}').then((r) => r.blob()).then(window.run)`,
    )) as PageResult
    const session = await InferenceSession.create(model)
    const pixels = new Tensor('float32', Float32Array.from(result.pixels), [1, 3, 112, 112])
    const expected = await session.run({ pixel_values: pixels, K: new Tensor('int64', [16n], [1]) })
    expect(result.dims).toEqual([1, 16, 64])
    expect(result.kept).toEqual(Array.from(expected['kept_indices']?.data as BigInt64Array, Number))
    expect(result.roles).toEqual([...(expected['roles']?.data as Uint8Array)])
  })
})
