/** The part of Transformers.js that pruning touches, typed once so that the rest needs no `any`. Names are the library's own. */
import type { DynamicCache, Tensor } from '@huggingface/transformers'

/** An ONNX Runtime session as Transformers.js keeps it. */
export interface OnnxSession {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  readonly inputMetadata?: readonly { readonly name: string; readonly shape: readonly (number | string)[] }[]
  /** Set by Transformers.js. */
  config?: { readonly dtype: string; readonly device: string }
  run(feeds: object, ...rest: unknown[]): Promise<Record<string, OrtTensor>>
  release(): Promise<void>
}

/** A tensor as a session returns it. */
export interface OrtTensor {
  readonly dims: readonly number[]
  readonly type: string
  readonly data: ArrayLike<number>
}

/** What one call of `model.forward` gets: the processor's outputs and what `generate` adds. */
export interface ModelInputs {
  input_ids: Tensor
  attention_mask?: Tensor | null
  pixel_values?: Tensor | null
  position_ids?: Tensor | null
  past_key_values?: DynamicCache | null
  [name: string]: unknown
}

export type ModelOutputs = Record<string, Tensor>

/** A vision-language model of Transformers.js. */
export interface VisionLanguageModel {
  readonly config: ModelConfig
  readonly sessions: Record<string, OnnxSession>
  readonly forward_params: string[]
  forward(inputs: ModelInputs): Promise<ModelOutputs>
  prepare_inputs_for_generation(ids: bigint[][], inputs: ModelInputs, config: unknown): ModelInputs
  encode_text(inputs: { input_ids: Tensor }): Promise<Tensor>
  encode_image(inputs: ModelInputs): Promise<Tensor>
  _encode_input(session: string, inputs: object, output: string): Promise<Tensor>
  _merge_input_ids_with_image_features(parts: {
    image_features: Tensor
    inputs_embeds: Tensor
    input_ids: Tensor
    attention_mask: Tensor
  }): { inputs_embeds: Tensor; attention_mask: Tensor }
  generate(inputs: Record<string, unknown>): Promise<unknown>
  dispose(): Promise<unknown>
}

/** config.json; only what adapters read is named. */
export interface ModelConfig {
  readonly model_type: string
  readonly image_token_index?: number
  readonly image_token_id?: number
  readonly video_token_index?: number
  readonly video_token_id?: number
  /** Video-LLaVA's: placeholders of eight frames, with or without one CLS token each. */
  readonly video_seq_length?: number
  readonly vision_config?: Readonly<Record<string, unknown>>
  readonly text_config?: Readonly<Record<string, unknown>>
  readonly scale_factor?: number
  /** Gemma 3's: visual tokens of an image behind the pooling. */
  readonly mm_tokens_per_image?: number
  /** nanoLLaVA's: its vision tower by name. */
  readonly mm_vision_tower?: string
  /** LFM2-VL's: patches along a side of one visual token. */
  readonly downsample_factor?: number
  readonly image_grid_pinpoints?: readonly (readonly number[])[]
  /** LLaVA-OneVision's: 'anyres_max_9', beyond how many tiles' tokens features are scaled down. */
  readonly vision_aspect_ratio?: string
  /** LLaVA-NeXT's: how tiles stand in the prompt. */
  readonly mm_patch_merge_type?: 'spatial' | 'spatial_unpad'
}
