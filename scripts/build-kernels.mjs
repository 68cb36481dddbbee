// Turns src/numeric/kernels.wat into src/numeric/kernels-wasm.ts. A test compares the two.
import { readFileSync, writeFileSync } from 'node:fs'
import loadWabt from 'wabt'

const folder = new URL('../src/numeric/', import.meta.url)
const wabt = await loadWabt()
const source = readFileSync(new URL('kernels.wat', folder), 'utf8')
const { buffer } = wabt.parseWat('kernels.wat', source, { simd: true }).toBinary({})
writeFileSync(
  new URL('kernels-wasm.ts', folder),
  `/** kernels.wat as a module, base64. Made by \`npm run build:kernels\`; do not edit. */
export const kernelsWasm =
  // prettier-ignore
  '${Buffer.from(buffer).toString('base64')}'
`,
)
