"""Write the held-out benchmark as files: python benchmark.py --out ../demo-vlm/benchmark

200 images of 320 px on photographs and seeds that training never uses, questions.jsonl with one question a line, and a mask per
image: a PNG whose grey value is 0 for background, i + 1 for object i, 255 for the sign.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from questions import TYPES, ask_many
from scenes import make_scene

# Every type about equally often, so that each accuracy has a usable interval; types that few scenes allow are tried more often.
EVEN = {kind: {'main': 1.6, 'reading': 1.6, 'relation': 2.2, 'comparison': 3.0, 'where': 1.7, 'position': 1.4, 'shape': 1.4, 'colour': 1.4,
               'caption': 0.8, 'unknown': 0.5, 'absent': 0.6}.get(kind, 1.0) for kind in TYPES}


# Not one of these is in the vocabulary; in training all unknown words look alike, so <unk> stood for them.
UNKNOWN_WORDS = ['dog', 'cat', 'car', 'weather', 'president', 'capital', 'guitar', 'banana', 'airplane', 'happy', 'dancing', 'monday', 'computer', 'elephant',
                 'shoes', 'running', 'temperature', 'pizza', 'teacher', 'ocean', 'sing', 'bicycle', 'doctor', 'joke', 'price', 'window', 'grandmother']


def accepted_answers(answer: str) -> list[str]:
    """The model writes numbers digit by digit; the number written as usual is right, too."""
    joined = answer.replace(' ', '')
    return [answer, joined] if joined.isdigit() and joined != answer else [answer]


def heldout_scene(seed: int, index: int, background: str | None = None):
    """Scene and its random generator; the first word keeps these seeds apart from those of training (seed, rank, step)."""
    rng = np.random.default_rng([987654321, seed, index])
    while True:
        scene = make_scene(rng, 320, 'held-out', background)
        if scene.items:
            return scene, rng


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('runs/benchmark'))
    parser.add_argument('--images', type=int, default=200)
    parser.add_argument('--questions', type=int, default=13, help='per image, at most')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    for folder in ('images', 'masks'):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    lines, scenes = [], []
    for index in range(options.images):
        scene, rng = heldout_scene(options.seed, index)
        name = f'{index:03d}'
        Image.fromarray(scene.pixels).save(options.out / 'images' / f'{name}.jpg', quality=88, subsampling=0)
        Image.fromarray(scene.labels).save(options.out / 'masks' / f'{name}.png', optimize=True)
        scenes.append({'image': f'images/{name}.jpg', 'mask': f'masks/{name}.png', 'background': scene.background,
                       'objects': [{k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(i).items()} for i in scene.items],
                       'sign': scene.sign and scene.sign.text})
        for question in ask_many(scene, rng, options.questions, weights=EVEN):
            question.tokens = [str(rng.choice(UNKNOWN_WORDS)) if word == '<unk>' else word for word in question.tokens]
            lines.append({'image': f'images/{name}.jpg', 'type': question.type, 'question': question.text, 'answers': accepted_answers(question.answer)})
    (options.out / 'questions.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (options.out / 'scenes.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in scenes))
    counts = {kind: sum(line['type'] == kind for line in lines) for kind in TYPES}
    size = sum(f.stat().st_size for f in options.out.rglob('*') if f.is_file())
    print(f'seed {options.seed}: {options.images} images, {len(lines)} questions, {size / 2**20:.1f} MiB; {counts}')


if __name__ == '__main__':
    main()
