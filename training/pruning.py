"""Token selection in NumPy, for the control in evaluate.py: what pruning does to this model. Scores are [N]; kept is ascending."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Indices of the highest scores; the lower index wins a tie."""
    return np.argsort(-scores, kind='stable')[:count]


def hiprune(object_scores: np.ndarray, deep_scores: np.ndarray, side: int, keep: int, alpha: float = 0.1) -> np.ndarray:
    """Anchors of the object layer with their cross of neighbours, then registers of the deep layer."""
    anchors = best(object_scores, round(keep * alpha / 5))
    chosen = []
    for anchor in anchors:
        row, column = divmod(int(anchor), side)
        around = [(row + dr, column + dc) for dr, dc in NEIGHBOURS]
        chosen += [anchor] + [r * side + c for r, c in around if 0 <= r < side and 0 <= c < side]
    chosen = list(dict.fromkeys(int(i) for i in chosen))[:keep]
    rest = deep_scores.copy()
    rest[chosen] = -np.inf
    return np.sort(np.concatenate([np.array(chosen, int), best(rest, keep - len(chosen))]))


def grid(side: int, keep: int) -> np.ndarray:
    """About evenly spread: the patch under each cell centre of the nearest rows x columns lattice, thinned or filled to `keep`."""
    rows = max(1, round(keep ** 0.5))
    counts = [keep // rows + (r < keep % rows) for r in range(rows)]
    kept = [int((r + 0.5) * side / rows) * side + int((c + 0.5) * side / n) for r, n in enumerate(counts) for c in range(n)]
    return np.unique(kept)


def select(method: str, received: np.ndarray, cls: np.ndarray, covered: np.ndarray, keep: int, rng: np.random.Generator) -> np.ndarray:
    """received, cls: [layers, N]; covered [N]: share of the patch that objects and the sign cover (for the oracle only)."""
    tokens = received.shape[1]
    side = round(tokens ** 0.5)
    if method == 'none':
        return np.arange(tokens)
    if method == 'random':
        return np.sort(rng.permutation(tokens)[:keep])
    if method == 'grid':
        return grid(side, keep)
    if method == 'cls-attention':
        return np.sort(best(cls[-1], keep))
    if method == 'objects-first':
        return np.sort(best(covered + 1e-6 * rng.random(tokens), keep))
    if method == 'lowest':
        return np.sort(best(-received[-1], keep))
    _, layer, alpha = method.split(':')  # hiprune:LAYER:ALPHA
    return hiprune(received[int(layer) - 1], received[-1], side, keep, float(alpha))
