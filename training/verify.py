"""Check that exported files answer like PyTorch: python verify.py --run runs/cpu --model ../demo-vlm --benchmark ../demo-vlm/benchmark

Compares token ids, image features and greedy answers with the processor and generate() of Transformers, for every dtype.
Fails when fp32 differs in an answer. The other dtypes are reported.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import transformers
from PIL import Image
from transformers import AutoProcessor

from evaluate import load_benchmark
from export import load_run
from onnx_runtime import SUFFIX, OnnxModel, normalize
from questions import tokenize
from tokens import encode


@torch.no_grad()
def generate(model, processor, image: Image.Image, question: str) -> tuple[str, torch.Tensor]:
    messages = [{'role': 'user', 'content': [{'type': 'image'}, {'type': 'text', 'text': question}]}]
    inputs = processor(images=image, text=processor.apply_chat_template(messages, add_generation_prompt=True), return_tensors='pt')
    inputs.pop('token_type_ids', None)
    written = model.generate(**inputs, do_sample=False, max_new_tokens=40)[0, inputs['input_ids'].shape[1]:]
    return processor.tokenizer.decode(written, skip_special_tokens=True).strip(), inputs['input_ids'][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, default=Path('runs/cpu'))
    parser.add_argument('--model', type=Path, default=Path('runs/export'))
    parser.add_argument('--benchmark', type=Path, default=Path('runs/benchmark'))
    parser.add_argument('--images', type=int, default=40)
    parser.add_argument('--questions', type=int, default=6, help='per image')
    options = parser.parse_args()
    started = time.time()
    torch_model, processor = load_run(options.run), AutoProcessor.from_pretrained(options.model)
    sessions = {dtype: OnnxModel(options.model, dtype) for dtype in SUFFIX}
    asked = same_ids = 0
    equal, right = dict.fromkeys(SUFFIX, 0), dict.fromkeys([*SUFFIX, 'pytorch'], 0)
    error = dict.fromkeys(SUFFIX, 0.0)
    for image in load_benchmark(options.benchmark)[:options.images]:
        with torch.no_grad():
            pixels = torch.from_numpy(normalize(image['pixels']))
            reference = torch.stack(list(torch_model.get_image_features(pixels, vision_feature_layer=-2, vision_feature_select_strategy='default').pooler_output)).numpy()
        features = {dtype: session.features(image['pixels']) for dtype, session in sessions.items()}
        for dtype in SUFFIX:
            error[dtype] = max(error[dtype], float(np.abs(features[dtype] - reference).max()))
        for question in image['questions'][:options.questions]:
            expected, ids = generate(torch_model, processor, Image.fromarray(image['pixels']), question['question'])
            onnx_ids = sessions['fp32'].prompt_ids(question['question'], reference.shape[1])[0]
            words = encode(tokenize(question['question']))
            same_ids += bool(np.array_equal(onnx_ids, ids.numpy())) and list(ids[-len(words) - 1:-1]) == words
            asked += 1
            right['pytorch'] += expected in question['answers']
            for dtype, session in sessions.items():
                answer = session.answer(features[dtype], question['question'])
                equal[dtype] += answer == expected
                right[dtype] += answer in question['answers']
    print(f'torch {torch.__version__}, transformers {transformers.__version__}, onnxruntime {onnxruntime.__version__}; {options.images} images, {asked} questions, '
          f'{time.time() - started:.0f} s')
    print(f'token ids equal: {same_ids} of {asked}; PyTorch right: {right["pytorch"]}')
    for dtype in SUFFIX:
        print(f'{dtype}: largest feature difference {error[dtype]:.2g}, answers equal to PyTorch {equal[dtype]} of {asked}, right {right[dtype]}')
    if equal['fp32'] != asked or same_ids != asked:
        raise SystemExit('the fp32 export does not answer like PyTorch')


if __name__ == '__main__':
    main()
