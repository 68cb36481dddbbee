import { env } from '@huggingface/transformers'
import { findModelFile, type ModelSource } from './encoder-file.js'
import type { ResolvedSource } from './source.js'

/** Everything that processors and tokenizers of Transformers.js read. */
const FILES = [
  'preprocessor_config.json',
  'processor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
]

/**
 * The same source for processors and tokenizers, from the cached files of a hub model where there is a file cache.
 * Transformers.js 4.3.1 decides whether a model has a tokenizer by asking for the main revision in its default cache, and
 * remembers the answer: another revision, another cache_dir without a network, and `local_files_only` fail.
 */
export async function processorSource(source: ResolvedSource, files: ModelSource): Promise<ResolvedSource> {
  if (source.isFolder || !env.useFS || !env.useFSCache) return source
  const found = await Promise.all(FILES.map((name) => findModelFile({ ...files, subfolder: '' }, name)))
  const folder = found[FILES.indexOf('tokenizer_config.json')]?.folder
  return folder === undefined ? source : { ...source, load: (from) => source.load(() => from(folder)) }
}
