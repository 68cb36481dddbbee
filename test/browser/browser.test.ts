import { build } from 'esbuild'
import { RawImage } from '@huggingface/transformers'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromiumFlags, chromiumPath } from '../analysis/chromium.js'
import { repository } from '../cli.js'
import { oracleRoot, readGolden } from '../golden.js'
import { startHub } from '../hub.js'
import type { GoldenVlm } from '../tiny-llava.js'
import type { PageTask } from './page.js'

interface PageResult {
  pruned: number[]
  full: number[]
  keptByText: number
  layers: number
}

describe.skipIf(!chromiumPath)('in a browser (needs Chromium)', () => {
  let browser: Browser
  let hub: Awaited<ReturnType<typeof startHub>>
  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [`${repository}test/browser/page.ts`],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      logLevel: 'error',
    })
    hub = await startHub(`${oracleRoot}models/tiny-llava`, {
      '/': '<!doctype html><script type="module" src="/page.js"></script>',
      '/page.js': bundle.outputFiles[0]!.text,
      '/wasm/': `${repository}node_modules/onnxruntime-web/dist/`,
    })
    browser = await chromium.launch({ executablePath: chromiumPath as string, args: chromiumFlags })
  })
  afterAll(async () => {
    await browser?.close()
    hub?.server.closeAllConnections()
    hub?.server.close()
  })

  it('loads over HTTP, taps, prunes and answers as PyTorch and Node do; loads again from its cache', async () => {
    const sample = readGolden<GoldenVlm>('vlm_llava').samples[0]!
    const golden = sample.pruned.at(-1)!
    const image = (await RawImage.read(`${oracleRoot}golden/${sample.png}`)).rgb()
    const task: PageTask = {
      pixels: [...image.data],
      side: image.width,
      inputIds: sample.input_ids,
      golden: { keep: golden.retention, alpha: golden.alpha, objectLayer: golden.object_layer },
    }
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(error.message))
    for (const visit of ['first', 'second']) {
      await page.goto(hub.url)
      await page.waitForFunction('window.run')
      const result = (await page.evaluate(`run(${JSON.stringify(task)})`)) as PageResult
      expect(result, visit).toEqual({
        pruned: golden.greedy_tokens,
        full: sample.full.greedy_tokens,
        keptByText: golden.retention,
        layers: 11,
      })
    }
    const downloads = hub.requests.filter((file) => file.endsWith('decoder_model_merged.onnx'))
    expect(downloads).toHaveLength(1)
    expect(errors).toEqual([])
  })
})
