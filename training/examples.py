"""Write the dozen example images with questions and the model's own answers: python examples.py --model ../demo-vlm

Held-out photographs and seeds other than the benchmark's; the answers are those of the exported fp32 files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

from benchmark import accepted_answers, heldout_scene
from onnx_runtime import OnnxModel
from questions import TYPES, Asker

BACKGROUNDS = ['photo', 'photo', 'gradient', 'photo', 'photo', 'plain', 'photo', 'noise', 'photo', 'photo', 'gradient', 'photo']


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, default=Path('runs/export'))
    parser.add_argument('--seed', type=int, default=2)
    options = parser.parse_args()
    folder = options.model / 'examples'
    folder.mkdir(parents=True, exist_ok=True)
    model = OnnxModel(options.model)
    examples, index, right, total = [], 0, 0, 0
    for number, background in enumerate(BACKGROUNDS, 1):
        while True:  # three to five objects, a sign on every other image
            scene, rng = heldout_scene(options.seed, index, background)
            index += 1
            if 3 <= len(scene.items) <= 5 and (scene.sign is not None) == (number % 2 == 1):
                break
        name = f'scene-{number:02d}.png'
        Image.fromarray(scene.pixels).save(folder / name, optimize=True)
        features = model.features(scene.pixels)
        asked = []
        for kind in TYPES[number % len(TYPES):] + TYPES[:number % len(TYPES)]:  # another type first on each image: that one is what `hiprune demo` asks
            if kind == 'unknown':
                continue  # its questions stand for words outside the vocabulary, nothing a visitor would type
            question = next((q for q in (Asker(scene, rng).ask(kind) for _ in range(12)) if q), None)
            if question:
                answer = model.answer(features, question.text)
                right, total = right + (answer in accepted_answers(question.answer)), total + 1
                asked.append({'type': kind, 'question': question.text, 'answer': question.answer, 'model_answer': answer})
        asked.append({'type': 'unknown', 'question': 'who painted the Mona Lisa ?', 'answer': 'i do not know',
                      'model_answer': model.answer(features, 'who painted the Mona Lisa ?')})
        height, width = scene.pixels.shape[:2]
        examples.append({'file': name, 'width': width, 'height': height, 'background': scene.background, 'questions': asked})
    (folder / 'examples.json').write_text(json.dumps(examples, indent=1) + '\n')
    print(f'seed {options.seed}: {len(examples)} images, {right} of {total} scene questions answered as expected')


if __name__ == '__main__':
    main()
