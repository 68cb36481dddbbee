import { cat, Tensor, type Processor, type RawImage } from '@huggingface/transformers'
import { framesOf, isVideo, type Visual } from '../image/index.js'
import type { PatchGrid } from '../pruning/index.js'
import type { ModelAdapter } from './adapter.js'
import { imageProcessorOf, imageTokenId, rowsFrom, zeros } from './llava.js'
import type { ModelConfig, ModelInputs, OnnxSession, VisionLanguageModel } from './transformers.js'

/** The methods of Transformers.js's Qwen classes that other models do not have. */
interface QwenModel extends VisionLanguageModel {
  get_rope_index(ids: Tensor, images: unknown, videos: unknown, mask: unknown): [Tensor, Tensor]
}

/**
 * Qwen2-VL, Qwen2.5-VL and Qwen3-VL: images of any size packed into one list of patches, merge_size x merge_size patches a visual
 * token, and three-axis rope positions: a kept token keeps its own, and the positions of text, of later tokens and of later
 * turns stay those of the unpruned prompt (SPEC 4).
 */
export const qwenVl: ModelAdapter = {
  family: 'qwen-vl',
  modelTypes: ['qwen2_vl', 'qwen2_5_vl', 'qwen3_vl'],

  // The library passes image_features on and nothing else of what the encoder returns.
  refuses(_config, sessions) {
    const deepstack = sessions?.['decoder_model_merged']?.inputNames.find((name) => name.includes('deepstack'))
    return deepstack && `its decoder takes "${deepstack}", which Transformers.js does not pass on from the encoder`
  },

  imageTokenId,
  patchesPerToken: (config) => mergeSize(config) ** 2,

  // Two frames make one grid; the library counts their positions as it does Qwen2-VL's. Qwen3-VL writes times between frames.
  video: ({ model_type }) => (model_type === 'qwen3_vl' ? undefined : { frames: 8, as: 'video', oneSize: true }),

  // The library's processor takes a list for the frames of one video, so images go in one at a time.
  async preprocess(processor: Processor, images: readonly Visual[]): Promise<Partial<ModelInputs>> {
    const parts: { pixel_values: Tensor; image_grid_thw: Tensor }[] = []
    for (const image of images) {
      const frames = isVideo(image) ? inPairs(framesOf(image)) : [image]
      parts.push((await imageProcessorOf(processor)(frames)) as (typeof parts)[number])
    }
    return {
      pixel_values: cat(
        parts.map(({ pixel_values }) => pixel_values),
        0,
      ),
      image_grid_thw: cat(
        parts.map(({ image_grid_thw }) => image_grid_thw),
        0,
      ),
    }
  },

  grids(config: ModelConfig, inputs: ModelInputs): PatchGrid[] {
    const merge = mergeSize(config)
    return imageSizes(inputs).flatMap(([frames, height, width]) =>
      Array.from({ length: frames }, () => ({ rows: height / merge, columns: width / merge })),
    )
  },

  tilesPerImage: (_config, inputs) => imageSizes(inputs).map(([frames]) => frames),

  dropGrids(_config: ModelConfig, inputs: ModelInputs, count: number): ModelInputs {
    const sizes = imageSizes(inputs)
    let images = 0
    let patches = 0
    for (let frames = 0; frames < count;) {
      const [numFrames, height, width] = sizes[images++] as [number, number, number]
      frames += numFrames
      patches += numFrames * height * width
    }
    return {
      ...inputs,
      pixel_values: rowsFrom(inputs.pixel_values as Tensor, patches),
      image_grid_thw: rowsFrom(inputs['image_grid_thw'] as Tensor, images),
    }
  },

  pixelsPerToken: (config) => Number(config.vision_config?.['patch_size']) * mergeSize(config),

  blankImage(config: ModelConfig, encoder: OnnxSession): ModelInputs {
    const shape = encoder.inputMetadata?.find(({ name }) => name === 'pixel_values')?.shape ?? []
    const side = 4 * mergeSize(config)
    const image_grid_thw = new Tensor('int64', BigInt64Array.of(1n, BigInt(side), BigInt(side)), [1, 3])
    return { pixel_values: zeros([side * side, Number(shape[1])]), image_grid_thw } as unknown as ModelInputs
  },

  positions(model: VisionLanguageModel, inputs: ModelInputs): Tensor {
    if (inputs.position_ids) return inputs.position_ids
    const { input_ids, attention_mask, image_grid_thw, video_grid_thw } = inputs
    return (model as QwenModel).get_rope_index(input_ids, image_grid_thw, video_grid_thw, attention_mask)[0]
  },
}

/** An odd number of frames ends with its last one twice, as Hugging Face's processor does it. */
function inPairs(frames: readonly RawImage[]): RawImage[] {
  return frames.length % 2 === 0 ? [...frames] : [...frames, frames.at(-1) as RawImage]
}

function mergeSize(config: ModelConfig): number {
  return Number(config.vision_config?.['spatial_merge_size'] ?? 2)
}

/** Frames, height and width of each image, the latter two in patches. */
function imageSizes(inputs: ModelInputs): [number, number, number][] {
  return ((inputs['image_grid_thw'] as Tensor).tolist() as bigint[][]).map((size) => {
    return size.map(Number) as [number, number, number]
  })
}
