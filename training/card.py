"""Write the model card from what was measured: python card.py --run runs/cpu --evaluation runs/cpu/evaluation.json --model ../demo-vlm

Every number comes out of the run's files, the evaluation's JSON or the exported files. The log and the curve of the run are kept
beside the card.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from questions import TEMPLATES, TYPES
from scenes import COLOUR_NAMES, PHOTOS, SHAPES
from tokens import SPECIAL, VOCABULARY, VOCABULARY_SLOTS

GOALS = {'exist': 95, 'colour': 95, 'shape': 95, 'main': 95, 'position': 95, 'count': 90, 'relation': 90, 'choice': 90, 'reading': 85}
JUMP = 0.2  # of dispersion, as `hiprune study` has it; the paper's CLIP-L more than doubles
PAGE = """# Demo VLM: a {parameters:.1f} M parameter LLaVA for trying out visual token pruning

A deliberately small vision-language model in the Transformers.js layout, with the structure of LLaVA-1.5 (CLIP vision tower, projector of two
layers, Llama decoder), so that code written for LLaVA runs on it unchanged. It was trained from random weights on synthetic scenes by
`training/` of the repository; no pretrained weights went into it. **It knows nothing about real photographs**: it answers questions about coloured
shapes and short signs, on whatever background. Use it to test pruning end to end, not as an assistant.

**No image token was dropped, masked or pruned anywhere in its training**, encoder included. Pruning it is training-free, as in the paper.

## Architecture

| part | configuration |
|---|---|
| vision tower | `CLIPVisionModel`, {size} x {size}, patch {patch}: {side} x {side} = {tokens} visual tokens + CLS, width {v_width}, {v_layers} layers, {v_heads} heads, MLP {v_mlp} |
| features | hidden state -2 (`vision_feature_layer` -2, CLS removed); the exported encoder holds the {v_read} layers in front of it |
| projector | Linear {v_width}-{t_width}, GELU, Linear {t_width}-{t_width} |
| language model | `LlamaModel`, width {t_width}, {t_layers} layers, {t_heads} heads, MLP {t_mlp}, tied embeddings, {slots} vocabulary slots |

{files}

`processor_config.json` says `num_additional_image_tokens: 0` and `full`, so that both libraries repeat `<image>` exactly {tokens} times;
`config.json` has the true strategy.

## Prompt and words

    <s>USER: <image> what color is the star ? ASSISTANT:

The chat template makes this of `[{{role: 'user', content: [{{type: 'image'}}, {{type: 'text', text: question}}]}}]`. One question a conversation: it
never saw a second turn. The tokenizer knows {words} words, lower-cased; every other word becomes `<unk>`, and a question that depends on such a word
is answered "i do not know". `colour` is read as `color`. Numbers are answered digit by digit (`4 2`).

## Data

Scenes are drawn on the fly, and every step sees new ones: {shapes} in {colours}; one to six a scene, in two sizes, turned a little, never overlapping;
in half of the scenes a sign with a number, a letter or a word. Backgrounds: photographs (55 %), plain, gradients, noise. The {train} photographs of
training and the {heldout} of the benchmark ({heldout_names}) are different files out of installed packages; held-out scenes use other seeds. Questions
of {types} types come from {templates} wordings, shared by training and benchmark.

## Training

Seed {seed}, {minutes:.0f} minutes on {machine}, torch {torch}, transformers {transformers}: {steps} steps, {images} images.{note} The stages are in
`training/README.md`; `training/` beside this card holds the log and the curve of this run. Images of 128 to 320 px: a smaller
image is a whole image with fewer tokens on a window of the position table, so that the number of tokens says nothing about the number of objects or their places.

## Accuracy

Exact match of the greedy answer with all {tokens} visual tokens: {questions} held-out questions on {bench_images} images
(`python evaluate.py`, PyTorch, {e_machine}), 95 % Wilson intervals.

{accuracy}

{verdict}

## Does the encoder show the paper's hierarchy?

Attention received per layer (mean over heads and queries). IoU: the top 10 % tokens against the patches that objects cover; chance is
{iou_random:.3f}, the best possible {iou_best:.3f}. Dispersion: mean distance in feature space between the top 10 % tokens.

{hierarchy}

{finding}

## What pruning does to it

The same questions, PyTorch; accuracy without captions. `objects-first` is an oracle that sees the masks: it keeps what objects and signs cover.
All methods and budgets, through the library itself, are in `docs/results.md` of the repository.

{pruning}

## What it cannot do

Photographs, scenes unlike these, objects that overlap, text other than short signs, a second turn, words outside its vocabulary.
{weak}
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [head, ['---'] * len(head), *rows])


def join_words(words: list[str]) -> str:
    return ', '.join(words[:-1]) + ' and ' + words[-1]


def describe_hierarchy(values: dict) -> str:
    iou = values['iou_received']
    best, deep, middle = max(range(len(iou)), key=iou.__getitem__), len(iou) - 1, range(len(iou) // 3, 2 * len(iou) // 3 + 1)
    spread = values['dispersion']['10']
    rise = spread[deep] / spread[best] - 1
    behind = iou[best + 1:] or [iou[best]]
    return (f"IoU is largest in layer {best + 1} of {len(iou)} ({iou[best]:.3f}), {'a middle layer' if best in middle else 'not a middle layer'}; behind it, it falls to {min(behind):.3f} "
            f"and is {iou[deep]:.3f} in the deepest, {iou[deep] / iou[best]:.2f} of the largest (the paper's encoders: .26 to .80 of the middle layer). Dispersion of the top 10 % goes from {spread[0]:.0f} in the first "
            f"layer over {spread[len(iou) // 2]:.0f} in the middle to {spread[deep]:.0f} in the deepest: {rise:+.0%} from the layer of the largest IoU to the deepest, {'a rise, as the paper finds' if rise >= JUMP else 'no jump as in the paper, so its global phase does not show'}. "
            'One small model, one seed: no more is claimed.')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--run', type=Path, default=Path('runs/cpu'))
    parser.add_argument('--evaluation', type=Path, default=Path('runs/cpu/evaluation.json'))
    parser.add_argument('--model', type=Path, default=Path('../demo-vlm'))
    parser.add_argument('--note', default='', help='one sentence about the training machine')
    options = parser.parse_args()
    facts, evaluation = json.loads((options.run / 'run.json').read_text()), json.loads(options.evaluation.read_text())
    state = torch.load(options.run / 'checkpoint.pt', map_location='cpu')
    config = json.loads((options.model / 'config.json').read_text())
    vision, text, hierarchy = config['vision_config'], config['text_config'], evaluation['hierarchy']
    side = vision['image_size'] // vision['patch_size']
    rows = evaluation['accuracy']
    accuracy = table(['type', 'n', 'exact match', '95 % interval', 'goal'],
                     [[kind, str(r['n']), f"{r['accuracy']:.1%}", f"{r['low']:.1%} to {r['high']:.1%}", f'{GOALS[kind]} %' if kind in GOALS else ''] for kind, r in rows.items()])
    short = [f"{kind} ({rows[kind]['accuracy']:.1%}, goal {goal} %)" for kind, goal in GOALS.items() if kind in rows and rows[kind]['accuracy'] < goal / 100]
    weak = [f"{kind} {rows[kind]['accuracy']:.0%}" for kind in TYPES if kind in rows and rows[kind]['accuracy'] < 0.85]
    full = rows['all without captions']['accuracy']
    budgets = list(next(iter(evaluation['pruning'].values())))
    pruning = table(['method', *budgets], [['all tokens', *[f'{full:.1%}'] * len(budgets)]] + [
        [method, *[f"{by['all without captions']['accuracy']:.1%}" for by in cells.values()]] for method, cells in evaluation['pruning'].items()])
    layers = table(['layer', 'IoU, received', 'IoU, CLS', 'dispersion'], [
        [str(i + 1), f'{a:.3f}', f'{b:.3f}', f'{c:.2f}'] for i, (a, b, c) in
        enumerate(zip(hierarchy['iou_received'], hierarchy['iou_cls'], hierarchy['dispersion']['10']))])
    files = table(['file', 'MiB'], [[f'`{f.name}`', f'{f.stat().st_size / 2**20:.1f}'] for f in sorted((options.model / 'onnx').glob('*.onnx'))])
    page = PAGE.format(
        parameters=sum(v.numel() for k, v in state['model'].items() if k != 'lm_head.weight') / 1e6, size=vision['image_size'], patch=vision['patch_size'],
        side=side, tokens=side * side, v_width=vision['hidden_size'], v_layers=vision['num_hidden_layers'], v_read=vision['num_hidden_layers'] - 1,
        v_heads=vision['num_attention_heads'], v_mlp=vision['intermediate_size'], t_width=text['hidden_size'], t_layers=text['num_hidden_layers'],
        t_heads=text['num_attention_heads'], t_mlp=text['intermediate_size'], slots=VOCABULARY_SLOTS, words=len(VOCABULARY) - len(SPECIAL), files=files,
        shapes=join_words(SHAPES), colours=join_words(COLOUR_NAMES), train=len(PHOTOS['train']), heldout=len(PHOTOS['held-out']),
        heldout_names=', '.join(n.split(':')[1] for n in PHOTOS['held-out']), types=len(TYPES), templates=sum(len(v) for v in TEMPLATES.values()),
        seed=facts['seed'], minutes=state['elapsed'] / 60, machine=facts.get('gpu', facts['machine']), torch=facts['torch'], transformers=facts['transformers'],
        steps=state['step'], images=state['images'], note=options.note and f' {options.note}', questions=sum(r['n'] for k, r in rows.items() if k != 'all without captions'), bench_images=evaluation['images'],
        e_machine=evaluation['machine'], accuracy=accuracy,
        verdict=('Below the goals of the project: ' + join_words(short) + '.' if len(short) > 1 else f'Below the goals of the project: {short[0]}.' if short
                 else 'All goals of the project are met.'),
        iou_random=hierarchy['iou_random'], iou_best=hierarchy['iou_best'], hierarchy=layers, finding=describe_hierarchy(hierarchy), pruning=pruning,
        weak=f'Weak types (below 85 %): {", ".join(weak)}.' if weak else '')
    (options.model / 'README.md').write_text(page.rstrip() + '\n')
    kept = options.model / 'training'
    kept.mkdir(exist_ok=True)
    for name in ('run.json', 'curve.csv'):
        shutil.copy(options.run / name, kept / name)
    print(f'{options.model / "README.md"}: {len(page.splitlines())} lines')


if __name__ == '__main__':
    main()
