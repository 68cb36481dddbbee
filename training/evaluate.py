"""Accuracy per question type, the attention hierarchy and a control of pruning, all in PyTorch on the held-out benchmark:
python evaluate.py --run runs/cpu --benchmark ../demo-vlm/benchmark --json runs/cpu/evaluation.json

An answer counts when the greedy answer equals an accepted one. All questions of an image are checked in one pass: greedy
decoding yields the reference answer exactly when each of its tokens is the most likely one given those before it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

from data import PREFIX, pad_rows
from export import load_run
from model import encode_images, packed_mask, vision_transformer
from pruning import select
from questions import TYPES, tokenize
from scenes import PATCH, SIGN_LABEL
from tokens import ASSISTANT, EOS, PAD, encode

BUDGETS = {'1/3': 133, '2/9': 89, '1/9': 44}
METHODS = ['hiprune:4:0.1', 'hiprune:6:0.1', 'hiprune:6:0.5', 'cls-attention', 'random', 'grid', 'objects-first']


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion."""
    z, share = 1.96, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * (share * (1 - share) / total + z * z / (4 * total * total)) ** 0.5 / (1 + z * z / total)
    return middle - half, middle + half


def load_benchmark(folder: Path) -> list[dict]:
    """Per image: pixels uint8 [S,S,3], labels uint8 [S,S] and its questions."""
    images: dict[str, dict] = {}
    for line in (folder / 'questions.jsonl').read_text().splitlines():
        question = json.loads(line)
        images.setdefault(question['image'], {'file': question['image'], 'questions': []})['questions'].append(question)
    for name, image in images.items():
        image['pixels'] = np.asarray(Image.open(folder / name).convert('RGB'))
        image['labels'] = np.asarray(Image.open(folder / 'masks' / (Path(name).stem + '.png')))
    return list(images.values())


@torch.no_grad()
def look(model, image: dict) -> dict[str, np.ndarray | torch.Tensor]:
    """Hidden state -2 with attention received and attention of CLS, both [layers - 1, N], of one image."""
    maps: list[torch.Tensor] = []
    layers = vision_transformer(model).encoder.layers[:-1]
    hooks = [layer.self_attn.register_forward_hook(lambda module, args, output: maps.append(output[1][0].float())) for layer in layers]
    batch = {'pixels': torch.from_numpy(image['pixels'].copy())[None], 'origin': torch.zeros(1, 2, dtype=torch.long)}
    hidden, _, _ = encode_images(model, batch)
    for hook in hooks:
        hook.remove()
    received = torch.stack([a.mean((0, 1)) for a in maps])
    assert torch.allclose(received.sum(1), torch.ones(len(received)), atol=1e-3)
    return {'features': model.model.multi_modal_projector(hidden[:, 1:])[0], 'hidden': hidden[0, 1:].numpy(),
            'received': received[:, 1:].numpy(), 'cls': torch.stack([a[:, 0].mean(0) for a in maps])[:, 1:].numpy()}


@torch.no_grad()
def answer_all(model, features: list[torch.Tensor], questions: list[list[dict]]) -> list[list[bool]]:
    """Verdict per image and question; all images keep the same number of tokens [K, width]."""
    rows = []
    kept = features[0].shape[0]
    for asked in questions:
        row = {'ids': [], 'blocks': [], 'positions': [], 'labels': []}
        for block, question in enumerate(asked):
            prompt, answer = encode(tokenize(question['question'])) + [ASSISTANT], encode(tokenize(question['answers'][0])) + [EOS]
            ids = prompt + answer[:-1]
            row['ids'] += ids
            row['blocks'] += [block] * len(ids)
            row['positions'] += list(range(2 + kept, 2 + kept + len(ids)))
            row['labels'] += [-100] * (len(prompt) - 1) + answer
        rows.append(row)
    length = max(len(r['ids']) for r in rows)
    ids, blocks, positions, labels = (pad_rows([r[k] for r in rows], v, length) for k, v in (('ids', PAD), ('blocks', -1), ('positions', 0), ('labels', -100)))
    embed = model.get_input_embeddings()
    inputs = torch.cat([embed(PREFIX).expand(len(rows), -1, -1), torch.stack(features), embed(ids)], 1)
    prefix = 2 + kept
    output = model.model.language_model(inputs_embeds=inputs, attention_mask=packed_mask(blocks, prefix, inputs.dtype), use_cache=False,
                                        position_ids=torch.cat([torch.arange(prefix).expand(len(rows), -1), positions], 1)).last_hidden_state
    wrong = (model.lm_head(output[:, prefix:]).argmax(-1) != labels) & (labels >= 0)
    return [[not bool(wrong[i][blocks[i] == b].any()) for b in range(len(asked))] for i, asked in enumerate(questions)]


def covered_share(labels: np.ndarray, objects_only: bool) -> np.ndarray:
    """Share of each patch under an object (or the sign), [N]."""
    side = labels.shape[0] // PATCH
    mask = (labels > 0) & (labels != SIGN_LABEL) if objects_only else labels > 0
    return mask.reshape(side, PATCH, side, PATCH).mean((1, 3)).ravel()


def hierarchy(images: list[dict], views: list[dict]) -> dict:
    """IoU of the top 10 % tokens with the objects, and dispersion of the top 5 / 10 / 25 % in hidden state -2, per layer."""
    layers, tokens = views[0]['received'].shape
    result: dict = {'tokens': tokens, 'iou_received': [], 'iou_cls': [], 'iou_received_with_sign': [], 'dispersion': {5: [], 10: [], 25: []}}
    objects = [covered_share(i['labels'], True) >= 0.5 for i in images]
    anything = [covered_share(i['labels'], False) >= 0.5 for i in images]

    def iou(scores, masks) -> float:
        values = []
        for score, mask in zip(scores, masks):
            if mask.any():
                top = np.zeros(tokens, bool)
                top[np.argsort(-score, kind='stable')[:round(tokens * 0.1)]] = True
                values.append((top & mask).sum() / (top | mask).sum())
        return float(np.mean(values))

    rng = np.random.default_rng(0)
    distances = [np.linalg.norm(v['hidden'][:, None] - v['hidden'][None], axis=-1) for v in views]
    for layer in range(layers):
        result['iou_received'].append(iou([v['received'][layer] for v in views], objects))
        result['iou_received_with_sign'].append(iou([v['received'][layer] for v in views], anything))
        result['iou_cls'].append(iou([v['cls'][layer] for v in views], objects))
        for share in (5, 10, 25):
            count = round(tokens * share / 100)
            spread = []
            for v, d in zip(views, distances):
                top = np.argsort(-v['received'][layer], kind='stable')[:count]
                spread.append(d[np.ix_(top, top)].sum() / (count * (count - 1)))
            result['dispersion'][share].append(float(np.mean(spread)))
    result['iou_random'] = iou([rng.random(tokens) for _ in views], objects)
    result['iou_best'] = iou([m + 0.0 for m in objects], objects)
    result['object_tokens'] = float(np.mean([m.sum() for m in objects]))
    return result


def table(verdicts: dict[str, list[bool]]) -> dict[str, dict]:
    def cell(values: list[bool]) -> dict:
        low, high = wilson(sum(values), len(values))
        return {'n': len(values), 'accuracy': sum(values) / len(values), 'low': low, 'high': high}

    rows = {kind: cell(verdicts[kind]) for kind in TYPES if verdicts[kind]}
    rows['all without captions'] = cell([v for kind, values in verdicts.items() if kind != 'caption' for v in values])
    return rows


def score(model, images: list[dict], views: list[dict], method: str, keep: int, batch: int = 8) -> dict[str, dict]:
    rng = np.random.default_rng(0)
    verdicts: dict[str, list[bool]] = defaultdict(list)
    parts: dict[int, list[tuple[dict, torch.Tensor]]] = defaultdict(list)
    for image, view in zip(images, views):
        kept = select(method, view['received'], view['cls'], covered_share(image['labels'], False), keep, rng)
        parts[len(kept)].append((image, view['features'][torch.from_numpy(kept)]))
    for same in parts.values():
        for start in range(0, len(same), batch):
            group = same[start:start + batch]
            for (image, _), results in zip(group, answer_all(model, [f for _, f in group], [i['questions'] for i, _ in group])):
                for question, right in zip(image['questions'], results):
                    verdicts[question['type']].append(right)
    return table(verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, default=Path('runs/cpu'))
    parser.add_argument('--benchmark', type=Path, default=Path('runs/benchmark'))
    parser.add_argument('--images', type=int, default=None, help='only the first so many')
    parser.add_argument('--no-pruning', action='store_true', help='skip the control of pruning')
    parser.add_argument('--json', type=Path, default=None, help='write everything here')
    options = parser.parse_args()
    model = load_run(options.run, 'eager')
    images = load_benchmark(options.benchmark)[:options.images]
    started = time.time()
    result: dict = {'model': str(options.run), 'benchmark': options.benchmark.name, 'images': len(images), 'torch': torch.__version__, 'transformers': transformers.__version__,
                    'machine': f'{platform.machine()}, {os.cpu_count()} cores', 'random_seed': 0}
    print(json.dumps(result))
    views = [look(model, image) for image in images]
    result['accuracy'] = score(model, images, views, 'none', 400)
    print('| type | n | exact match | 95 % interval |\n|---|---|---|---|')
    for kind, row in result['accuracy'].items():
        print(f"| {kind} | {row['n']} | {row['accuracy']:.1%} | {row['low']:.1%} to {row['high']:.1%} |")
    result['hierarchy'] = hierarchy(images, views)
    for name in ('iou_received', 'iou_received_with_sign', 'iou_cls'):
        print(name, ' '.join(f'{v:.3f}' for v in result['hierarchy'][name]))
    print({k: round(result['hierarchy'][k], 3) for k in ('iou_random', 'iou_best', 'object_tokens')})
    for share, values in result['hierarchy']['dispersion'].items():
        print(f'dispersion {share} %', ' '.join(f'{v:.2f}' for v in values))
    if not options.no_pruning:
        result['pruning'] = {}
        full = result['accuracy']['all without captions']['accuracy']
        print('| method | ' + ' | '.join(f'{name} ({keep})' for name, keep in BUDGETS.items()) + ' |\n|---|---|---|---|')
        for method in METHODS:
            result['pruning'][method] = {name: score(model, images, views, method, keep) for name, keep in BUDGETS.items()}
            shares = [rows['all without captions']['accuracy'] for rows in result['pruning'][method].values()]
            print(f'| {method} | ' + ' | '.join(f'{100 * s:.1f} ({100 * s / full if full else 0:.0f})' for s in shares) + ' |', flush=True)
    print(f'{time.time() - started:.0f} s')
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
