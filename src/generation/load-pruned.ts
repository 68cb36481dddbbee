import {
  AutoConfig,
  AutoModelForImageTextToText,
  AutoProcessor,
  PretrainedConfig,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type PretrainedModelOptions,
  type Processor,
} from '@huggingface/transformers'
import { ArgumentError, ModelError } from '../errors.js'
import {
  adapterFor,
  describeSource,
  dropBrokenFiles,
  loadTextTower,
  processorSource,
  readCalibration,
  type EncoderCalibration,
  type ModelConfig,
  type ModelSource,
  type TextTower,
  type TileMode,
  type VisionLanguageModel,
  type ModelAdapter,
  type ResolvedSource,
} from '../models/index.js'
import { planOf, type PruningOptions } from './options.js'
import { tapModel } from './tap-model.js'
import { withPruning } from './with-pruning.js'

/** Options of {@link loadPruned}: how to prune, and how Transformers.js loads (dtype, device, progress_callback, ...). */
export type LoadPrunedOptions = PruningOptions &
  Omit<PretrainedModelOptions, 'config'> & {
    /** Layer whose attention finds the main objects, 1-based. Default: the encoder's own (SPEC 1). */
    readonly objectLayer?: number
    /** What `hiprune calibrate` wrote for this model's encoder: the object or, in Node, its file. `objectLayer` goes before it. */
    readonly calibration?: EncoderCalibration | string
    /**
     * How LLaVA-OneVision cuts images: 'single', one tile as in Transformers.js, or 'anyres', a base image and up to 6 x 6
     * tiles as in training, which needs `image_newline.f32.bin` in the model folder. Default 'single'. Other families have no
     * choice.
     */
    readonly tiles?: TileMode
  }

export interface PrunedModel {
  /** A Transformers.js model whose `generate` prunes. */
  readonly model: PreTrainedModel
  readonly processor: Processor
  readonly tokenizer: PreTrainedTokenizer
  /** The vision encoder's paired text tower, of models that ship one. */
  readonly textTower?: TextTower
}

/** What belongs to `from_pretrained`; everything else is about pruning. */
const LOADING = [
  'progress_callback',
  'cache_dir',
  'local_files_only',
  'revision',
  'subfolder',
  'device',
  'dtype',
  'use_external_data_format',
  'session_options',
] as const

/**
 * Loads a vision-language model that prunes: the model as Transformers.js loads it, with attention taps in its vision encoder.
 *
 * @param modelId Hub id or folder in the Transformers.js layout.
 * @throws ArgumentError for a refused option, before anything is loaded; ModelError when the model is not found, is
 *   incomplete, or cannot be pruned.
 */
export async function loadPruned(modelId: string, options: LoadPrunedOptions = {}): Promise<PrunedModel> {
  const { objectLayer, calibration: given, tiles, ...others } = options
  const loading = Object.fromEntries(LOADING.filter((key) => key in others).map((key) => [key, others[key]]))
  const pruning = Object.fromEntries(Object.entries(others).filter(([key]) => !(key in loading))) as PruningOptions
  planOf(pruning)
  const calibration = given === undefined ? undefined : await readCalibration(given)

  const source = await describeSource(modelId, loading)
  const files = { ...loading, modelId: source.id }
  const load = async () => await loadFrom(source, files, { loading, pruning, objectLayer, calibration, tiles })
  try {
    return await load()
  } catch (error) {
    // A file that is broken in the cache stays so until somebody removes it.
    const check = error instanceof ArgumentError || source.isFolder ? undefined : await dropBrokenFiles(files)
    if (check && check.removed.length > 0) return await load()
    const { message } = error as Error
    if (!check || check.unknown === 0 || !LOOKS_BROKEN.test(message)) throw error
    const advice = `the hub could not be asked whether the cached files are whole: delete ${check.folder} and load again`
    throw new ModelError(`${message}; ${advice}`, { cause: error })
  }
}

/** How the runtime and JSON.parse speak of half a file. */
const LOOKS_BROKEN = /protobuf|JSON|parse|deserializ|truncated|out of (range|bounds)/i

/** Options in their parts. */
interface LoadPlan {
  readonly loading: Pick<LoadPrunedOptions, (typeof LOADING)[number]>
  readonly pruning: PruningOptions
  readonly objectLayer: number | undefined
  readonly calibration: EncoderCalibration | undefined
  readonly tiles: TileMode | undefined
}

async function loadFrom(source: ResolvedSource, files: ModelSource, plan: LoadPlan): Promise<PrunedModel> {
  const { loading, tiles } = plan
  const config = await source.load<ModelConfig>((id) => AutoConfig.from_pretrained(id, loading))
  const adapter = adapterFor(config)
  if (tiles !== undefined && !adapter.tileModes?.includes(tiles))
    throw new ArgumentError('tiles', tiles, modesOf(adapter, config.model_type))
  const model = await loadModel(source, adapter, config, loading)
  try {
    return await prepare(source, files, adapter, model, plan)
  } catch (error) {
    await model.dispose()
    throw error
  }
}

/** Processor, taps, text tower and pruning of a model that has been loaded. */
async function prepare(
  source: ResolvedSource,
  files: ModelSource,
  adapter: ModelAdapter,
  model: PreTrainedModel,
  { loading, pruning, objectLayer, calibration, tiles }: LoadPlan,
): Promise<PrunedModel> {
  const place = await processorSource(source, files)
  const processor = adapter.loadProcessor
    ? await adapter.loadProcessor(place, files, loading, model.config as unknown as ModelConfig, tiles)
    : await place.load<Processor>((id) => AutoProcessor.from_pretrained(id, loading))
  const tokenizer = processor.tokenizer
  if (!tokenizer)
    throw new ModelError(`${files.modelId}: its processor has no tokenizer; processor_config.json may be missing`)
  // Where the template lies in a file of its own, the processor alone has read it.
  tokenizer.chat_template ??= processor.chat_template
  await tapModel(model, source.id, { ...files, session_options: loading.session_options, objectLayer, calibration })
  const textTower = await loadTextTower(model as unknown as VisionLanguageModel, files, loading.session_options)
  const tower = textTower && { textTower }
  return { model: withPruning(model, { ...pruning, tokenizer, ...tower }), processor, tokenizer, ...tower }
}

function modesOf({ tileModes }: ModelAdapter, modelType: string): string {
  const modes = tileModes?.map((mode) => `'${mode}'`).join(' or ')
  return modes ?? `nothing for model_type "${modelType}", which has no choice`
}

/** Loads the model, under another name where the library does not know its own. */
async function loadModel(
  source: ResolvedSource,
  { loadAs }: ModelAdapter,
  config: ModelConfig,
  loading: object,
): Promise<PreTrainedModel> {
  const from = (options: object) => (id: string) => AutoModelForImageTextToText.from_pretrained(id, options)
  if (!loadAs) return await source.load<PreTrainedModel>(from(loading))
  const alias = new PretrainedConfig({ ...config, model_type: loadAs })
  const model = await source.load<PreTrainedModel>(from({ ...loading, config: alias }))
  // Adapters are found by the model's own type.
  return Object.assign(model, { config: Object.assign(model.config, { model_type: config.model_type }) })
}
