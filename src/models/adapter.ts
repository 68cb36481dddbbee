import type { Processor, Tensor } from '@huggingface/transformers'
import type { Visual } from '../image/index.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelSource } from './encoder-file.js'
import type { ResolvedSource } from './source.js'
import type { ModelConfig, ModelInputs, OnnxSession, VisionLanguageModel } from './transformers.js'

/** A placeholder that stands for no visual token, e.g. the end of a row: always kept, never counted. */
export const SEPARATOR = -1

/** The CLS token of a tile or frame, where the language model sees it: always kept, never counted. */
export function clsOf(tile: number): number {
  return -2 - tile
}

/** Grids that go through the same encoder in one run. */
export interface EncoderRun {
  /** Name of the session: 'vision_encoder', or one of {@link ModelAdapter.extraEncoders}. */
  readonly session: string
  readonly inputs: ModelInputs
  /** Which of the grids these are, ascending. */
  readonly grids: readonly number[]
  /** Whether a CLS token stands in front of each grid's features. */
  readonly hasCls: boolean
}

/** 'single': an image is one tile, as Transformers.js makes it; 'anyres': a base image and tiles, as the model was trained. */
export type TileMode = 'single' | 'anyres'

/** How a family takes videos. */
export interface VideoSupport {
  /** Frames that are taken of a video when the caller does not say how many. */
  readonly frames: number
  /** 'video': `preprocess` or `prompt` get the video whole; 'images': its frames go in as that many images. */
  readonly as: 'video' | 'images'
  /** Frames that are packed together have to be of one size. */
  readonly oneSize?: boolean
}

/** How the visual tokens of one image stand in the prompt, where that is not simply grid after grid. */
export interface ImageLayout {
  /** How many grids (base image and tiles) belong to the image. */
  readonly tiles: number
  /** For each of its placeholders the visual token, counted over the image's tiles in turn, or {@link SEPARATOR}, {@link clsOf}. */
  readonly tokens: Int32Array
}

/** A tile whose visual tokens are mixed of the encoder's, by a model that scales features down. */
export interface MixedGrid {
  readonly grid: PatchGrid
  /** For each token where it comes from: tile, counted over all tiles of the call, token of that tile, weight. */
  readonly tokens: readonly (readonly { readonly tile: number; readonly token: number; readonly weight: number }[])[]
}

/** Every fact that pruning needs to know of one family of models. CONTRIBUTING.md says how to add one. */
export interface ModelAdapter {
  readonly family: string
  /** `model_type` values of config.json that this adapter serves. */
  readonly modelTypes: readonly string[]
  /** Id of the placeholder that stands for one visual token in the prompt. */
  imageTokenId(config: ModelConfig): number
  /** Id of the placeholder of a video's visual tokens, where it is not that of images. */
  videoTokenId?(config: ModelConfig): number
  /** How videos go in; undefined for models that take one image a prompt. */
  video?(config: ModelConfig): VideoSupport | undefined
  /** Patches that one visual token is made of: 1, or 4 for a 2 x 2 merge. */
  patchesPerToken(config: ModelConfig): number
  /** The image processor's outputs for these images, one after the other. */
  preprocess(processor: Processor, images: readonly Visual[]): Promise<Partial<ModelInputs>>
  /** The whole input of a prompt with its image placeholders written once, of models whose processor writes more than them. */
  prompt?(processor: Processor, images: readonly Visual[], text: string): Promise<ModelInputs>
  /** Further encoders that a model folder may ship beside vision_encoder, by session and file name. */
  readonly extraEncoders?: readonly string[]
  /** Which grids go through which encoder; without it all go through vision_encoder together. */
  encoderRuns?(config: ModelConfig, inputs: ModelInputs): EncoderRun[]
  /** What a user's message holds, of models whose chat template takes a text only, or that have none. */
  message?(placeholder: string, numImages: number, question: string): string
  /** Why this model of the family cannot be pruned; `sessions` are there once it has been loaded. */
  refuses?(config: ModelConfig, sessions?: Readonly<Record<string, OnnxSession>>): string | undefined
  /** Patch grid of each image, tile or frame, in the order of the encoder's features and before it has run. */
  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[]
  /** How many of the grids are tiles or frames of one image, which share its budget; absent where a grid is an image. */
  tilesPerImage?(config: ModelConfig, inputs: ModelInputs): number[]
  /** The prompt's order of visual tokens, one entry an image, of models that do not simply put grid after grid. */
  layouts?(config: ModelConfig, inputs: ModelInputs): ImageLayout[] | undefined
  /** Tiles that are mixed of the encoder's, one entry a tile; undefined where all tokens are the encoder's own. */
  mixedGrids?(config: ModelConfig, inputs: ModelInputs): (MixedGrid | undefined)[] | undefined
  /** float32 `[D]`: what {@link SEPARATOR} placeholders hold. */
  separator?(config: ModelConfig): Float32Array
  /** Inputs beside the library's own that `generate` has to pass on. */
  readonly inputNames?: readonly string[]
  /** `model_type` under which the library loads the model, where it does not know this one. */
  readonly loadAs?: string
  /** Builds the processor, where the library has none. */
  loadProcessor?(
    source: ResolvedSource,
    files: ModelSource,
    loading: object,
    config: ModelConfig,
    tiles?: TileMode,
  ): Promise<Processor>
  /** How `loadProcessor` can cut images, where there is a choice; the first is the default. */
  readonly tileModes?: readonly TileMode[]
  /** The same inputs without the first `count` grids. */
  dropGrids(config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs
  /** Side of the pixels behind one visual token, of encoders that take any resolution. */
  pixelsPerToken?(config: ModelConfig): number
  /** The smallest valid input of the vision encoder: one black image. */
  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs
  /**
   * Positions of the unpruned prompt, int64 `[3, B, T]`, of models whose kept tokens keep theirs (M-RoPE); absent where
   * positions are compact and the model counts them itself (SPEC 4).
   */
  positions?(model: VisionLanguageModel, inputs: ModelInputs): Tensor
}
