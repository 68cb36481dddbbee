import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { repository } from '../../../test/cli.js'
import { countFlops } from './count.js'
import { shapeFromConfig } from './from-config.js'
import { countGraphFlops, readGraphParameters } from './from-graph.js'
import { knownShape } from './shape.js'

const models = `${repository}test/fixtures/oracle/models/`
const configOf = (folder: string) =>
  JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as Record<string, unknown>
const graphOf = (folder: string, suffix = '') => {
  const read = (session: string) => new Uint8Array(readFileSync(`${folder}/onnx/${session}${suffix}.onnx`))
  return readGraphParameters(read('vision_encoder'), read('decoder_model_merged'))
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)

describe('from config.json', () => {
  it('LLaVA-1.5 as published: what the file leaves out is the default of its class', () => {
    const config = {
      model_type: 'llava',
      vision_feature_layer: -2,
      text_config: { model_type: 'llama', vocab_size: 32000 },
      vision_config: {
        model_type: 'clip_vision_model',
        hidden_size: 1024,
        intermediate_size: 4096,
        num_hidden_layers: 24,
        num_attention_heads: 16,
        image_size: 336,
        patch_size: 14,
      },
    }
    expect(shapeFromConfig(config, 'llava-1.5-7b')).toEqual(knownShape('llava-1.5-7b'))
    const next = shapeFromConfig({ ...config, model_type: 'llava_next' }, 'llava-next-7b')
    expect(next).toEqual(knownShape('llava-next-7b'))
  })

  it('Qwen2.5-VL as published: the language model stands at the top level', () => {
    const config = {
      model_type: 'qwen2_5_vl',
      hidden_size: 2048,
      intermediate_size: 11008,
      num_hidden_layers: 36,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      vocab_size: 151936,
      vision_config: { depth: 32, hidden_size: 1280, intermediate_size: 3420, num_heads: 16, spatial_merge_size: 2 },
    }
    expect(shapeFromConfig(config, 'qwen2.5-vl-3b')).toEqual(knownShape('qwen2.5-vl-3b'))
  })

  it.each([
    [{ model_type: 'gemma3n' }, /mine: model_type "gemma3n" is not counted/],
    [{ model_type: 'llava', vision_config: {} }, /mine: config.json says nothing for num_hidden_layers/],
    [{}, /model_type "undefined"/],
  ])('refuses %j', (config, message) => {
    expect(() => shapeFromConfig(config, 'mine')).toThrow(message)
  })
})

describe('from the ONNX graphs', () => {
  it.each([
    ['demo-vlm', `${repository}demo-vlm`],
    ['tiny-llava', `${models}tiny-llava`],
    ['tiny-qwen2.5-vl', `${models}tiny-qwen2.5-vl`],
    ['tiny-llava-onevision', `${models}tiny-llava-onevision`],
  ])('%s: the same as from its config, but for the encoder layer that does not run', (name, folder) => {
    const parameters = graphOf(folder)
    const shape = shapeFromConfig(configOf(folder), name)
    const visual = parameters.tokensPerTile ?? 64
    const tokens = { visual, kept: Math.ceil(visual / 3), text: 20, tiles: 1 }
    const { layers, layersRun } = shape.vision
    const expected = countFlops(shape, tokens)
    const counted = countGraphFlops(parameters, tokens)
    expect(counted.llm).toBe(expected.llm)
    const parts = [(expected.encoder / layers) * layersRun, expected.projector]
    // SigLIP drops no CLS, so nothing in its graph says where the encoder ends and the projector begins.
    const isJoined = name === 'tiny-llava-onevision'
    expect([counted.encoder, counted.projector]).toEqual(isJoined ? [sum(parts), 0] : parts)
  })

  it.each(['_fp16', '_quantized'])('counts demo-vlm%s like its float32 files', (suffix) => {
    expect(graphOf(`${repository}demo-vlm`, suffix)).toEqual(graphOf(`${repository}demo-vlm`))
  })

  it('refuses bytes that are no model', () => {
    expect(() => readGraphParameters(new Uint8Array(3), new Uint8Array(3))).toThrow(/not a readable ONNX file/)
  })
})
