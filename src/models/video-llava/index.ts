import { Tensor, type Processor } from '@huggingface/transformers'
import { ModelError } from '../../errors.js'
import type { Visual } from '../../image/index.js'
import type { PatchGrid } from '../../pruning/index.js'
import { clsOf, type EncoderRun, type ImageLayout, type ModelAdapter } from '../adapter.js'
import type { ModelSource } from '../encoder-file.js'
import { imageTokenId, llava, rowsFrom, zeros } from '../llava.js'
import type { ResolvedSource } from '../source.js'
import type { ModelConfig, ModelInputs } from '../transformers.js'
import { frameTensor, loadVideoLlavaProcessor, type VideoLlavaProcessor } from './processor.js'

/** What the model was trained with. */
const FRAMES = 8

/**
 * Video-LLaVA: a video is eight frames, each a grid of its own with its share of the video's budget (SPEC 4). Transformers.js
 * has neither class nor processor; its LLaVA class runs the same three sessions, the processor is ours.
 *
 * vision_encoder is the video tower, `pixel_values` `[frames, 3, H, W]` -> `image_features` `[frames, 1 + N, D]`: Hugging
 * Face's model lets the language model see the CLS token of every frame (2056 = 8 x 257 placeholders). CLS is never pruned and
 * not counted; an export without it says so with a `video_seq_length` of 8 x N. Still images go through the image tower,
 * `image_encoder`, where the folder ships one.
 */
export const videoLlava: ModelAdapter = {
  ...llava,
  family: 'video-llava',
  modelTypes: ['video_llava'],
  loadAs: 'llava',
  inputNames: ['num_frames'],
  extraEncoders: ['image_encoder'],
  video: () => ({ frames: FRAMES, as: 'video' }),

  videoTokenId,

  async preprocess(processor: Processor, images: readonly Visual[]): Promise<Partial<ModelInputs>> {
    return await (processor as VideoLlavaProcessor).pixels(images)
  },

  async prompt(processor: Processor, images: readonly Visual[], text: string): Promise<ModelInputs> {
    return (await (processor as VideoLlavaProcessor)._call(images, text)) as ModelInputs
  },

  async loadProcessor(
    source: ResolvedSource,
    files: ModelSource,
    loading: object,
    config: ModelConfig,
  ): Promise<Processor> {
    return await loadVideoLlavaProcessor(source, files, loading, {
      imageTokenId: imageTokenId(config),
      videoTokenId: videoTokenId(config),
      counts: (inputs) => layouts(config, inputs).map(({ tokens }) => tokens.length),
    })
  },

  grids: (config: ModelConfig, inputs: ModelInputs): PatchGrid[] => llava.grids(config, inputs),
  tilesPerImage: (_config, inputs) => frameCounts(inputs).map((frames) => Math.max(1, frames)),
  layouts,

  encoderRuns(config: ModelConfig, inputs: ModelInputs): EncoderRun[] {
    const isFrame = frameCounts(inputs).flatMap((frames) =>
      frames === 0 ? [false] : Array<boolean>(frames).fill(true),
    )
    const runs = [
      { session: 'vision_encoder', hasCls: hasCls(config), wanted: true },
      { session: 'image_encoder', hasCls: false, wanted: false },
    ]
    return runs.flatMap(({ session, hasCls, wanted }) => {
      const grids = isFrame.flatMap((frame, i) => (frame === wanted ? [i] : []))
      const pixel_values = entries(inputs.pixel_values as Tensor, grids)
      return grids.length === 0 ? [] : [{ session, hasCls, grids, inputs: { ...inputs, pixel_values } }]
    })
  },

  dropGrids(_config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    const frames = frameCounts(inputs)
    let items = 0
    for (let grids = 0; grids < count;) grids += Math.max(1, frames[items++] as number)
    return {
      ...inputs,
      pixel_values: rowsFrom(inputs.pixel_values as Tensor, count),
      num_frames: rowsFrom(inputs['num_frames'] as Tensor, items),
    }
  },

  blankImage(config: ModelConfig): ModelInputs {
    const side = Number(config.vision_config?.['image_size'])
    return { pixel_values: zeros([1, 3, side, side]), num_frames: frameTensor([1]) } as unknown as ModelInputs
  },
}

function frameCounts({ num_frames }: ModelInputs): number[] {
  if (!num_frames)
    throw new ModelError("num_frames is missing beside pixel_values: build the prompt with the model's processor")
  return Array.from((num_frames as Tensor).data as BigInt64Array, Number)
}

function videoTokenId(config: ModelConfig): number {
  const id = config.video_token_index ?? config.video_token_id
  if (id === undefined) throw new ModelError('config.json names no video_token_index, so video tokens cannot be found')
  return id
}

function tokensPerFrame(config: ModelConfig): number {
  const { image_size, patch_size } = config.vision_config ?? {}
  return Math.floor(Number(image_size) / Number(patch_size)) ** 2
}

function hasCls(config: ModelConfig): boolean {
  const tokens = tokensPerFrame(config) + 1
  return (config.video_seq_length ?? FRAMES * tokens) % tokens === 0
}

function layouts(config: ModelConfig, inputs: ModelInputs): ImageLayout[] {
  const count = tokensPerFrame(config)
  return frameCounts(inputs).map((frames) => {
    const tiles = Math.max(1, frames)
    const tokens = Array.from({ length: tiles }, (_, tile) => [
      ...(frames > 0 && hasCls(config) ? [clsOf(tile)] : []),
      ...Array.from({ length: count }, (_, i) => tile * count + i),
    ])
    return { tiles, tokens: Int32Array.from(tokens.flat()) }
  })
}

/** Some entries of a float32 tensor `[E, ...]`. */
function entries({ data, dims }: Tensor, which: readonly number[]): Tensor {
  const size = data.length / (dims[0] as number)
  const chosen = new Float32Array(which.length * size)
  which.forEach((entry, i) => chosen.set((data as Float32Array).subarray(entry * size, (entry + 1) * size), i * size))
  return new Tensor('float32', chosen, [which.length, ...dims.slice(1)])
}
