"""Export a trained run as the layout Transformers.js loads: python export.py --run runs/cpu --out ../demo-vlm

Writes config, tokenizer and processor files and onnx/{vision_encoder,embed_tokens,decoder_model_merged} in fp32, fp16 and q8.
The vision encoder ends at hidden state -2, where LLaVA reads, so the last layer is not in the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn
from transformers import DynamicCache, LlavaForConditionalGeneration

from model import build_model, first, vision_transformer
from scenes import PATCH
from tokens import write_tokenizer
from train import PRESETS

OPSET = 14


def load_run(run: Path, attention: str = 'sdpa') -> LlavaForConditionalGeneration:
    """The model of a run's checkpoint, in evaluation mode, float32."""
    state = torch.load(run / 'checkpoint.pt', map_location='cpu')
    model = build_model(PRESETS[state['preset']]['widths'], attention)
    model.load_state_dict(state['model'])
    return model.eval()


class VisionEncoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.tower, self.projector = vision_transformer(model), model.model.multi_modal_projector

    def forward(self, pixel_values):
        hidden = self.tower.pre_layrnorm(self.tower.embeddings(pixel_values))
        for layer in self.tower.encoder.layers[:-1]:
            hidden = first(layer(hidden, attention_mask=None))
        return self.projector(hidden[:, 1:])  # [num_images, patches, text width]


class Decoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.language, self.head = model.model.language_model, model.lm_head

    def forward(self, inputs_embeds, attention_mask, position_ids, *past):
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        total, length = attention_mask.shape[1], inputs_embeds.shape[1]
        keys = torch.arange(total)[None, :]
        queries = torch.arange(length)[:, None] + (total - length)
        visible = (keys <= queries)[None, None] & (attention_mask[:, None, None, :] > 0)
        mask = torch.where(visible, 0.0, -1e4)  # -1e4 also fits in float16
        output = self.language(inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True)
        present = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        return (self.head(output.last_hidden_state), *present)


def export_graphs(model: LlavaForConditionalGeneration, folder: Path) -> None:
    text, size = model.config.text_config, model.config.vision_config.image_size
    options = {'opset_version': OPSET, 'dynamo': False, 'do_constant_folding': True}
    torch.onnx.export(VisionEncoder(model), (torch.zeros(2, 3, size, size),), folder / 'vision_encoder.onnx', input_names=['pixel_values'],
                      output_names=['image_features'], dynamic_axes={'pixel_values': {0: 'num_images'}, 'image_features': {0: 'num_images'}}, **options)
    sequence = {0: 'batch_size', 1: 'sequence_length'}
    torch.onnx.export(model.get_input_embeddings(), (torch.zeros(2, 3, dtype=torch.long),), folder / 'embed_tokens.onnx', input_names=['input_ids'],
                      output_names=['inputs_embeds'], dynamic_axes={'input_ids': sequence, 'inputs_embeds': sequence}, **options)
    heads, past_length, length = text.num_key_value_heads, 5, 3
    past = [torch.zeros(2, heads, past_length, text.head_dim) for _ in range(2 * text.num_hidden_layers)]
    names = [f'{layer}.{part}' for layer in range(text.num_hidden_layers) for part in ('key', 'value')]
    inputs = ['inputs_embeds', 'attention_mask', 'position_ids'] + [f'past_key_values.{n}' for n in names]
    outputs = ['logits'] + [f'present.{n}' for n in names]
    # Transformers.js builds the empty cache from these names: batch_size must be called so.
    axes = {'inputs_embeds': sequence, 'attention_mask': {0: 'batch_size', 1: 'total_sequence_length'}, 'position_ids': sequence, 'logits': sequence}
    axes |= {f'past_key_values.{n}': {0: 'batch_size', 2: 'past_sequence_length'} for n in names}
    axes |= {f'present.{n}': {0: 'batch_size', 2: 'total_sequence_length'} for n in names}
    arguments = (torch.zeros(2, length, text.hidden_size), torch.ones(2, past_length + length, dtype=torch.long),
                 torch.arange(length).expand(2, -1) + past_length, *past)
    torch.onnx.export(Decoder(model), arguments, folder / 'decoder_model_merged.onnx', input_names=inputs, output_names=outputs, dynamic_axes=axes, **options)


def convert(folder: Path) -> None:
    """fp16 with float32 inputs and outputs; q8 by dynamic quantisation, uint8 for the encoder, whose convolution has no int8 kernel."""
    for name in ('vision_encoder', 'embed_tokens', 'decoder_model_merged'):
        source = folder / f'{name}.onnx'
        half = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        onnx.save(half, folder / f'{name}_fp16.onnx')
        quantize_dynamic(source, folder / f'{name}_quantized.onnx', weight_type=QuantType.QUInt8 if name == 'vision_encoder' else QuantType.QInt8,
                         extra_options={'EnableSubgraph': True, 'MatMulConstBOnly': True})


def write_config(model: LlavaForConditionalGeneration, folder: Path) -> None:
    config = model.config.to_dict()
    config['architectures'] = ['LlavaForConditionalGeneration']
    config['transformers.js_config'] = {'use_external_data_format': False}
    for unused in ('dtype', '_name_or_path'):
        config.pop(unused, None)
    (folder / 'config.json').write_text(json.dumps(config, indent=1, sort_keys=True) + '\n')
    (folder / 'generation_config.json').write_text(json.dumps({'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0, 'do_sample': False,
                                                               'max_new_tokens': 40}, indent=1) + '\n')
    write_tokenizer(folder, model.config.vision_config.image_size, PATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, default=Path('runs/cpu'))
    parser.add_argument('--out', type=Path, default=Path('runs/export'))
    options = parser.parse_args()
    graphs = options.out / 'onnx'
    graphs.mkdir(parents=True, exist_ok=True)
    model = load_run(options.run)
    with torch.no_grad():
        export_graphs(model, graphs)
    convert(graphs)
    write_config(model, options.out)
    total = 0
    for file in sorted(graphs.glob('*.onnx')):
        total += file.stat().st_size
        print(f'{file.name:40} {file.stat().st_size / 2**20:7.2f} MiB')
    print(f'{"all":40} {total / 2**20:7.2f} MiB; parameters {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M; torch {torch.__version__}, onnx {onnx.__version__}')


if __name__ == '__main__':
    main()
