import { AutoTokenizer, env, type PreTrainedTokenizer } from '@huggingface/transformers'
import { findModelFile, readModelFile, type ModelSource } from './encoder-file.js'
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

/**
 * What a processor of our own is built from, for models whose image processor the library's AutoProcessor refuses.
 *
 * @returns The tokenizer, and preprocessor_config.json as it stands: what is needed of it must be checked.
 */
export async function readProcessorParts(
  source: ResolvedSource,
  files: ModelSource,
  loading: object,
): Promise<{ tokenizer: PreTrainedTokenizer; config: unknown }> {
  const tokenizer = (await source.load((id) => AutoTokenizer.from_pretrained(id, loading))) as PreTrainedTokenizer
  const { bytes } = await readModelFile({ ...files, subfolder: '' }, 'preprocessor_config.json')
  return { tokenizer, config: JSON.parse(new TextDecoder().decode(bytes)) }
}
