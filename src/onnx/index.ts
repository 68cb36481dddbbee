/** Reading and editing the ONNX graph of a vision encoder. Works on bytes, in Node and in the browser. */
export { inspectEncoder } from './inspect.js'
export type { AttentionInfo, EncoderFamily, EncoderInfo, EncoderInput } from './inspect.js'
export { tapAttention } from './tap.js'
export type { TapOptions } from './tap.js'
export { embedPruning } from './embed.js'
export type { EmbedOptions } from './embed.js'
export { checkReceivedAttention } from './check.js'
export type { ScoreTensor } from './check.js'
