"""Train the model: python train.py --preset cpu --out runs/cpu

The schedule is a function of progress, the share of the time budget that is spent, so that a run ends when it must and always
ends annealed. --minutes may be changed when a run is resumed: a smaller value brings the end nearer. No image token is dropped,
masked or pruned anywhere.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import transformers
from torch.utils.data import DataLoader, Dataset

from data import Plan, make_batch
from model import Heads, build_model, encode_images, language_losses, vision_losses, vision_transformer
from optim import build_optimizers, set_rate

# minutes: time budget; processes: data parallel on CPU; batch factor: images per process relative to the plan below;
# workers: processes that make data (0: the training process does).
PRESETS = {
    'smoke': {'minutes': 1.5, 'processes': 1, 'batch': 0.5, 'workers': 0, 'muon': 0.02, 'adam': 3e-3, 'widths': 'smoke'},
    'cpu': {'minutes': 150, 'processes': 2, 'batch': 1, 'workers': 0, 'muon': 0.012, 'adam': 2.5e-3, 'widths': 'cpu'},
    'gpu': {'minutes': 8, 'processes': 1, 'batch': 16, 'workers': 14, 'muon': 0.015, 'adam': 2e-3, 'widths': 'gpu'},
}
# Side in pixels, images and questions an image; many numbers of tokens, so that none of them means anything.
SMALLER = [(272, 3, 20), (224, 4, 18), (192, 5, 16), (160, 6, 14), (128, 8, 12)]
VISION_UNTIL, LANGUAGE_UNTIL, LARGE_FROM = 0.18, 0.35, 0.68
TOWER_FACTOR = 0.35  # the trained tower's matrices follow slowly: at the full rate the joint stage unlearns shapes first


def plan_step(progress: float, step: int, factor: float) -> Plan:
    """Vision stage on small images, language stage behind the frozen tower, joint stage; the last two on images of all sizes."""
    draw = np.random.default_rng(step).random()  # the same in every process
    count = lambda images: max(1, round(images * factor))
    if progress < VISION_UNTIL:
        return Plan('vision', 320, count(2), 0) if draw < 0.06 else Plan('vision', 160, count(8), 0)
    stage, large = ('language', 0.15) if progress < LANGUAGE_UNTIL else ('joint', 0.3 if progress < LARGE_FROM else 0.5)
    if draw < large:
        return Plan(stage, 320, count(3), 20)
    size, images, questions = SMALLER[int((draw - large) / (1 - large) * len(SMALLER))]
    return Plan(stage, size, count(images), questions)


def rate_factor(progress: float) -> float:
    """Each stage warms up; the joint stage decays linearly to 2 % over its second half."""
    def ramp(start: float, width: float) -> float:
        return min(1.0, 0.05 + (progress - start) / width)
    if progress < VISION_UNTIL:
        return min(ramp(0, 0.01), max(0.2, (VISION_UNTIL - progress) / 0.06))
    if progress < LANGUAGE_UNTIL:
        return ramp(VISION_UNTIL, 0.01)
    return 0.8 * min(ramp(LANGUAGE_UNTIL, 0.02), max(0.02, (1 - progress) / 0.35))


class Batches(Dataset):
    """Item = step. `progress` is shared memory, so that workers plan with the clock of the training process."""

    def __init__(self, seed: int, rank: int, factor: float, progress, steps: int | None):
        self.seed, self.rank, self.factor, self.progress, self.steps = seed, rank, factor, progress, steps

    def __len__(self) -> int:
        return 10**7

    def __getitem__(self, step: int):
        plan = plan_step(step / self.steps if self.steps else self.progress.value, step, self.factor)
        return plan, make_batch(self.seed, self.rank, step, plan)


def train(rank: int, world: int, options: argparse.Namespace) -> None:
    preset = PRESETS[options.preset]
    device = torch.device(options.device)
    if world > 1:
        os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(options.port)}
        dist.init_process_group('gloo', rank=rank, world_size=world)
        torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision('high')
    model = build_model(preset['widths'], 'sdpa' if device.type == 'cuda' else 'eager').to(device)
    heads = Heads(model.config.vision_config.hidden_size, model.config.text_config.hidden_size).to(device)
    optimizers = build_optimizers(model, heads, preset['muon'], preset['adam'], torch.bfloat16 if options.bfloat16 else torch.float32)
    step, elapsed, images = 0, 0.0, 0
    checkpoint = options.out / 'checkpoint.pt'
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state['model'])
        heads.load_state_dict(state['heads'])
        for optimizer, saved in zip(optimizers, state['optimizers']):
            optimizer.load_state_dict(saved)
        step, elapsed, images = state['step'], state['elapsed'], state['images']
    progress = multiprocessing.Value('d', 0.0)
    workers = preset['workers'] if options.workers is None else options.workers
    loader = DataLoader(Batches(options.seed, rank, preset['batch'] * options.batch, progress, options.steps), batch_size=None,
                        sampler=range(step, 10**7), num_workers=workers, prefetch_factor=4 if workers else None)
    started, saved_at, logged_at = time.time() - elapsed, time.time(), 0.0
    log = (options.out / 'curve.csv').open('a', newline='') if rank == 0 else None
    parameters = [*model.parameters(), *heads.parameters()]
    tower = list(vision_transformer(model).parameters())
    averages: dict[str, float] = {}

    def advance() -> float:
        """Rank 0's clock, or the share of --steps."""
        share = step / options.steps if options.steps else (time.time() - started) / (options.minutes * 60)
        if world > 1:
            value = torch.tensor([share], dtype=torch.float64)
            dist.broadcast(value, 0)
            share = value.item()
        progress.value = share
        return share

    def save() -> None:
        temporary = checkpoint.with_suffix('.tmp')
        torch.save({'model': model.state_dict(), 'heads': heads.state_dict(), 'optimizers': [o.state_dict() for o in optimizers],
                    'step': step, 'elapsed': time.time() - started, 'images': images, 'preset': options.preset, 'progress': progress.value,
                    'options': {k: str(v) for k, v in vars(options).items()}}, temporary)
        temporary.replace(checkpoint)

    advance()
    for plan, batch in loader:
        share = advance()
        if share >= 1:
            break
        batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        frozen = plan.stage == 'language'
        set_rate(optimizers, rate_factor(share))
        optimizers[0].factors = dict.fromkeys(tower, TOWER_FACTOR if plan.stage == 'joint' else 1.0)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bfloat16):
            with torch.set_grad_enabled(not frozen):
                hidden, early, last_cls = encode_images(model, batch, through_last=plan.stage == 'vision')
            losses = {} if frozen else vision_losses(heads, batch, hidden, early, last_cls)
            weight = 1.0 if plan.stage == 'vision' else 0.3
            loss = weight * sum(losses.values(), torch.zeros((), device=device))
            if plan.questions:
                answers, losses['right'] = language_losses(model, heads, batch, hidden)
                loss = loss + sum(answers.values())
                losses |= answers
        for p in parameters:
            p.grad = None
        loss.backward()
        used = [p for p in parameters if p.grad is not None]  # the same set in every process: the plan is the same
        if world > 1:
            flat = torch.cat([p.grad.flatten() for p in used])
            dist.all_reduce(flat)
            flat /= world
            for p, part in zip(used, flat.split([p.numel() for p in used])):
                p.grad = part.view_as(p)
        torch.nn.utils.clip_grad_norm_(used, 2.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        images += plan.images * world
        for name, value in losses.items():
            value = float(value.detach()) if torch.is_tensor(value) else value
            averages[name] = 0.95 * averages.get(name, value) + 0.05 * value
        if rank == 0 and time.time() - logged_at > options.log_seconds:
            logged_at = time.time()
            row = {'step': step, 'progress': f'{share:.4f}', 'minutes': f'{(logged_at - started) / 60:.2f}', 'images': images, 'stage': plan.stage,
                   **{name: f'{value:.4f}' for name, value in averages.items()}}
            print(' '.join(f'{k}={v}' for k, v in row.items()), flush=True)
            csv.writer(log).writerow([row.get(name, '') for name in COLUMNS])
            log.flush()
        if rank == 0 and time.time() - saved_at > options.save_seconds:
            save()
            saved_at = time.time()
    if rank == 0:
        save()
        model.save_pretrained(options.out / 'model')
        print(f'done: {step} steps, {images} images, {(time.time() - started) / 60:.1f} minutes', flush=True)
    if world > 1:
        dist.destroy_process_group()


COLUMNS = ['step', 'progress', 'minutes', 'images', 'stage', 'answer', 'right', 'mentioned', 'shape', 'colour', 'character', 'offset', 'silhouette',
           'place', 'number', 'listed', 'listed_last']


def bfloat16_pays() -> bool:
    """Whether this processor multiplies faster in bfloat16; one without instructions for it is many times slower."""
    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.randn(1024, 128, dtype=dtype), torch.randn(128, 384, dtype=dtype)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
        return float(np.median(times))
    return seconds(torch.bfloat16) < 0.7 * seconds(torch.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--preset', choices=PRESETS, default='cpu')
    parser.add_argument('--out', type=Path, default=None, help='folder of checkpoint, log and model (default runs/PRESET); resumes what is there')
    parser.add_argument('--minutes', type=float, default=None, help='time budget; the schedule follows it')
    parser.add_argument('--steps', type=int, default=None, help='let the schedule follow steps instead of the clock (exactly repeatable)')
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--batch', type=float, default=1.0, help='factor on the preset\'s batch size')
    parser.add_argument('--workers', type=int, default=None, help='processes that make data; the preset\'s number when left out')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--bfloat16', action=argparse.BooleanOptionalAction, default=None, help='products in bfloat16 (default: where that is faster)')
    parser.add_argument('--save-seconds', type=float, default=240)
    parser.add_argument('--log-seconds', type=float, default=15)
    parser.add_argument('--port', type=int, default=29517)
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    options.out = options.out or Path('runs') / options.preset
    options.minutes = options.minutes or preset['minutes']
    options.out.mkdir(parents=True, exist_ok=True)
    world = preset['processes'] if options.device == 'cpu' else 1
    if options.bfloat16 is None:
        options.bfloat16 = options.device != 'cpu' or bfloat16_pays()
    facts = {'preset': options.preset, 'seed': options.seed, 'minutes': options.minutes, 'steps': options.steps, 'device': options.device, 'bfloat16': options.bfloat16,
             'machine': f'{platform.machine()} {os.cpu_count()} cores', 'python': platform.python_version(), 'torch': torch.__version__,
             'transformers': transformers.__version__, 'numpy': np.__version__}
    if options.device != 'cpu':
        facts['gpu'] = torch.cuda.get_device_name()
    print(json.dumps(facts), flush=True)
    (options.out / 'run.json').write_text(json.dumps(facts, indent=1) + '\n')
    if not (options.out / 'curve.csv').exists():
        (options.out / 'curve.csv').write_text(','.join(COLUMNS) + '\n')
    if world == 1:
        train(0, 1, options)
    else:
        # Every step frees and takes the same large blocks: keeping them in the process saves a sixth of the time (page faults).
        os.environ |= {'OMP_NUM_THREADS': '1', 'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': '4000000000', 'MALLOC_TOP_PAD_': '268435456'}
        torch.multiprocessing.spawn(train, (world, options), world)


if __name__ == '__main__':
    main()
