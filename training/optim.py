"""Muon for the matrices of the layers, AdamW for everything else, one learning-rate factor for both."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn


@torch.no_grad()
def orthogonalize(matrices: torch.Tensor, dtype: torch.dtype, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration of Muon (Jordan et al., 2024) on a stack [n, rows, columns]; it bears bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    transposed = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if transposed else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype).contiguous()
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT.float() if transposed else x.float()


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix; matrices of one shape are stacked, since one product of many is faster than many."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.02, dtype: torch.dtype = torch.float32):
        super().__init__(params, {'lr': lr, 'momentum': momentum, 'weight_decay': weight_decay})
        self.dtype = dtype  # of the iteration
        self.factors: dict[torch.Tensor, float] = {}  # of the learning rate, where it is not 1

    def orthogonalize_shared(self, stack: torch.Tensor) -> torch.Tensor:
        """Each process does its share of the stack: on a CPU the iteration is a good part of a step."""
        if not dist.is_initialized():
            return orthogonalize(stack, self.dtype)
        world, rank = dist.get_world_size(), dist.get_rank()
        share = -(-len(stack) // world)
        mine = torch.zeros(share, *stack.shape[1:])
        part = stack[rank * share:(rank + 1) * share]
        mine[:len(part)] = orthogonalize(part, self.dtype)
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
                grads = [p.grad for p in params]
                buffers = [self.state[p].setdefault('momentum', torch.zeros_like(p)) for p in params]
                torch._foreach_lerp_(buffers, grads, 1 - group['momentum'])
                updates = self.orthogonalize_shared(torch.stack(torch._foreach_lerp(grads, buffers, group['momentum'])))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                rates = [group['lr'] * self.factors.get(p, 1.0) for p in params]
                torch._foreach_mul_(params, [1 - rate * group['weight_decay'] for rate in rates])
                torch._foreach_add_(params, torch._foreach_mul(list(updates), [-rate * scale for rate in rates]))


def build_optimizers(model: nn.Module, heads: nn.Module, muon_lr: float, adam_lr: float, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    matrices, rest = [], list(heads.parameters())
    for name, p in model.named_parameters():
        (matrices if p.ndim == 2 and ('layers.' in name or 'projector' in name) else rest).append(p)
    optimizers = [Muon(matrices, muon_lr, dtype=dtype),
                  torch.optim.AdamW([{'params': [p for p in rest if p.ndim > 1], 'weight_decay': 0.02},
                                     {'params': [p for p in rest if p.ndim <= 1], 'weight_decay': 0.0}], adam_lr, betas=(0.9, 0.98), fused=True)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['base_lr'] = group['lr']
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group['lr'] = group['base_lr'] * factor
