"""Muon for the matrices of the layers, AdamW for everything else, one learning-rate factor for both."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn


@torch.no_grad()
def orthogonalize(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration of Muon (Jordan et al., 2024) on a stack [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    transposed = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if transposed else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if transposed else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix; matrices of one shape are stacked, since one product of many is faster than many."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.02):
        super().__init__(params, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})
        self.factors: dict[torch.Tensor, float] = {}  # of the learning rate, where it is not 1

    @staticmethod
    def orthogonalize_shared(stack: torch.Tensor) -> torch.Tensor:
        """Each process does its share of the stack; the iteration is a fifth of a step on a CPU."""
        if not dist.is_initialized():
            return orthogonalize(stack)
        world, rank = dist.get_world_size(), dist.get_rank()
        share = -(-len(stack) // world)
        mine = torch.zeros(share, *stack.shape[1:])
        part = stack[rank * share:(rank + 1) * share]
        mine[:len(part)] = orthogonalize(part)
        parts = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(parts, mine)
        return torch.cat(parts)[:len(stack)]

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes: dict[torch.Size, list] = {}
            for p in group['params']:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    buffer = self.state[p].setdefault('momentum', torch.zeros_like(p))
                    buffer.lerp_(p.grad, 1 - group['momentum'])
                    updates.append(p.grad.lerp(buffer, group['momentum']))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(params, self.orthogonalize_shared(torch.stack(updates))):
                    rate = group['lr'] * self.factors.get(p, 1.0)
                    p.mul_(1 - rate * group['weight_decay'])
                    p.add_(update.to(p.dtype), alpha=-rate * scale)


def build_optimizers(model: nn.Module, heads: nn.Module, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    matrices, rest = [], list(heads.parameters())
    for name, p in model.named_parameters():
        (matrices if p.ndim == 2 and ('layers.' in name or 'projector' in name) else rest).append(p)
    optimizers = [Muon(matrices, muon_lr),
                  torch.optim.AdamW([{'params': [p for p in rest if p.ndim > 1], 'weight_decay': 0.02},
                                     {'params': [p for p in rest if p.ndim <= 1], 'weight_decay': 0.0}], adam_lr, betas=(0.9, 0.98))]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['base_lr'] = group['lr']
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['lr'] = group['base_lr'] * factor
