import { Tensor } from '@huggingface/transformers'
import { ModelError } from '../errors.js'
import type { TokenSelection } from '../pruning/index.js'
import type { EncodedImage } from './encode-images.js'
import type { PruningPlan } from './options.js'

/** An encoded image with everything that a pruner may ask for. */
export type PrunableImage = EncodedImage & { readonly relevance?: Float32Array }

/** One selection an image, each with its own budget. */
export function selectTokens(images: readonly PrunableImage[], { pruner, budget }: PruningPlan): TokenSelection[] {
  const missing = pruner.needs.find((need) => images.some((image) => !(need in image)))
  if (missing) {
    throw new ModelError(
      `method ${pruner.name} needs ${missing}, which this vision encoder does not return: ` +
        'load the model with loadPruned(), or tap a loaded one with tapModel(model, modelId)',
    )
  }
  return images.map((image) => pruner.select(image, budget))
}

/** float32 `[K1 + K2 + ..., D]`: rows of all kept tokens, image after image. */
export function gatherKept(
  images: readonly EncodedImage[],
  selections: readonly TokenSelection[],
  hiddenSize: number,
): Tensor {
  const total = selections.reduce((sum, { kept }) => sum + kept.length, 0)
  const rows = new Float32Array(total * hiddenSize)
  let row = 0
  selections.forEach(({ kept, rows: merged }, i) => {
    if (merged) {
      rows.set(merged, row * hiddenSize)
      row += kept.length
      return
    }
    const { features } = images[i] as EncodedImage
    for (const token of kept) {
      rows.set(features.subarray(token * hiddenSize, (token + 1) * hiddenSize), row++ * hiddenSize)
    }
  })
  return new Tensor('float32', rows, [total, hiddenSize])
}
