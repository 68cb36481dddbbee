"""Batches, made on the fly. A batch follows from (seed, rank, step) and its plan alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from questions import ask_many, tokenize
from scenes import COLOUR_NAMES, PATCH, SHAPES, make_scene, patch_targets
from tokens import ASSISTANT, BOS, EOS, PAD, USER, encode

FRAME = 20  # patches a side of the largest image, 320 px


@dataclass(frozen=True)
class Plan:
    """What one step does. size: image side in pixels; questions: per image, 0 in the vision stage."""
    stage: str  # vision, language (frozen tower) or joint
    size: int
    images: int
    questions: int


def pack(questions, size: int, origin: np.ndarray, scene) -> dict[str, list]:
    """All questions of an image behind it, as one row: each sees the image and itself, and positions restart after the image."""
    patches = (size // PATCH) ** 2
    row: dict[str, list] = {'ids': [], 'blocks': [], 'positions': [], 'labels': [], 'mentions': []}
    for block, question in enumerate(questions):
        prompt = encode(question.tokens) + [ASSISTANT]
        answer = encode(tokenize(question.answer)) + [EOS]
        ids = prompt + answer[:-1]
        for index, item in question.mentions:
            place = (origin + np.array([scene.items[item].x, scene.items[item].y])) / (FRAME * PATCH)
            row['mentions'].append((len(row['ids']) + index, *place, scene.items[item].radius / (5 * PATCH)))
        row['ids'] += ids
        row['blocks'] += [block] * len(ids)
        row['positions'] += list(range(2 + patches, 2 + patches + len(ids)))
        row['labels'] += [-100] * (len(prompt) - 1) + answer
    return row


def pad_rows(rows: list[list[int]], value: int, length: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def make_batch(seed: int, rank: int, step: int, plan: Plan) -> dict[str, torch.Tensor]:
    """pixels uint8 [B,S,S,3]; origin [B,2]: the image's first patch (column, row) in the frame of 20 x 20 positions.

    An image smaller than the frame takes a random window of the position table, whole: no token is left out. Where something is
    (top left ...) is meant in the frame, so that the answer follows from a token's position and not from how many tokens there are.
    offset [B,patches,3]: from a patch's centre to that of its object, and the object's radius; mentioned_at [n,3]: place in the frame, radius.
    """
    rng = np.random.default_rng([seed, rank, step])
    side = plan.size // PATCH
    scenes, origins, rows = [], [], []
    while len(scenes) < plan.images:
        scene = make_scene(rng, plan.size, dense=plan.stage == 'vision')
        if not scene.items:
            continue
        origin = rng.integers(0, FRAME - side + 1, 2)
        if plan.questions:
            asked = ask_many(scene, rng, plan.questions, window=tuple(origin * PATCH), frame=FRAME * PATCH)
            rows.append(pack(asked, plan.size, origin * PATCH, scene))
        scenes.append(scene)
        origins.append(origin)
    targets = [patch_targets(s) for s in scenes]
    batch = {'pixels': torch.from_numpy(np.stack([s.pixels for s in scenes])), 'origin': torch.from_numpy(np.stack(origins)),
             'silhouette': torch.from_numpy(np.stack([t['silhouette'] for t in targets])),
             'character': torch.from_numpy(np.stack([t['character'] for t in targets]))}
    shape, colour, offset = [], [], []
    listed = np.zeros((len(scenes), len(SHAPES) * len(COLOUR_NAMES)), np.float32)
    rows_index, columns_index = np.divmod(np.arange(side * side), side)
    centres = (np.stack([columns_index, rows_index], 1) + 0.5) * PATCH
    for s, (scene, target) in enumerate(zip(scenes, targets)):
        shapes = np.array([0] + [SHAPES.index(i.shape) + 1 for i in scene.items])
        colours = np.array([-100] + [COLOUR_NAMES.index(i.colour) for i in scene.items])
        places = np.array([[0.0, 0.0]] + [[i.x, i.y] for i in scene.items])
        radii = np.array([0.0] + [i.radius / (2 * PATCH) - 1 for i in scene.items])
        shape.append(shapes[target['item']])
        colour.append(colours[target['item']])
        offset.append(np.column_stack([(places[target['item']] - centres) / (2 * PATCH), radii[target['item']]]))
        for i in scene.items:
            listed[s, SHAPES.index(i.shape) * len(COLOUR_NAMES) + COLOUR_NAMES.index(i.colour)] = 1
    batch |= {'shape': torch.from_numpy(np.stack(shape)), 'colour': torch.from_numpy(np.stack(colour)),
              'offset': torch.from_numpy(np.stack(offset).astype(np.float32)), 'listed': torch.from_numpy(listed),
              'number': torch.tensor([len(s.items) for s in scenes])}
    if plan.questions:
        length = -(-max(len(r['ids']) for r in rows) // 16) * 16
        batch |= {'ids': pad_rows([r['ids'] for r in rows], PAD, length), 'blocks': pad_rows([r['blocks'] for r in rows], -1, length),
                  'positions': pad_rows([r['positions'] for r in rows], 0, length),
                  'labels': pad_rows([r['labels'] for r in rows], -100, length)}
        mentions = [(b, *m) for b, r in enumerate(rows) for m in r['mentions']]
        batch['mentions'] = torch.tensor([m[:2] for m in mentions], dtype=torch.long).reshape(-1, 2)
        batch['mentioned_at'] = torch.tensor([m[2:] for m in mentions], dtype=torch.float32).reshape(-1, 3)
    return batch


PREFIX = torch.tensor([BOS, USER])
