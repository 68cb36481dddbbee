import { createRequire } from 'node:module'
import path from 'node:path'
import type { RawImage } from '@huggingface/transformers'
import { Resvg } from '@resvg/resvg-js'
import sharp from 'sharp'

/** The font travels with the package, so that pictures look the same on a machine without any. */
const font = path.join(
  path.dirname(createRequire(import.meta.url).resolve('dejavu-fonts-ttf/package.json')),
  'ttf/DejaVuSans.ttf',
)

/** Renders a self-contained SVG document to PNG bytes. */
export function renderPng(svg: string): Uint8Array {
  const options = { font: { fontFiles: [font], loadSystemFonts: false, defaultFontFamily: 'DejaVu Sans' } }
  return new Resvg(svg, options).render().asPng()
}

/** An image as a data URI for a page or an SVG, scaled down so that its longer side is at most `maxSide` pixels. */
export async function imageDataUri(image: RawImage, maxSide = 1024): Promise<string> {
  const { data, width, height, channels } = image
  const picture = sharp(Buffer.from(data), { raw: { width, height, channels: channels as 1 | 2 | 3 | 4 } })
  const png = await picture
    .resize({ width: maxSide, height: maxSide, fit: 'inside', withoutEnlargement: true })
    .png()
    .toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}
