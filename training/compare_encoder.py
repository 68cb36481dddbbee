"""Time a vision encoder in PyTorch, plain and as patches of modelling code run it: python compare_encoder.py --json encoder.json

Plain is scaled-dot-product attention. The other way is eager attention with output_attentions, which keeps the H x N x N map of
every layer: what visual token pruning in Python usually does to see its scores. Both run in turn, on random weights.
`hiprune bench --compare encoder.json` sets the ratio beside that of the tapped ONNX encoder; sizes and threads must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

# CLIP ViT-L/14 at 336 pixels up to hidden state -2, and the 0.5B language model's width: the shape vit-l-0.5b of `hiprune bench`.
SIZES = {'image': 336, 'patch': 14, 'width': 1024, 'hidden': 4096, 'heads': 16, 'layers': 23}


class Encoder(nn.Module):
    """The tower without its last norm and pooling, and LLaVA's projector."""

    def __init__(self, sizes: dict[str, int], projected: int, attention: str):
        super().__init__()
        config = CLIPVisionConfig(image_size=sizes['image'], patch_size=sizes['patch'], hidden_size=sizes['width'], intermediate_size=sizes['hidden'],
                                  num_attention_heads=sizes['heads'], num_hidden_layers=sizes['layers'], attn_implementation=attention)
        self.tower = CLIPVisionModel(config)
        self.projector = nn.Sequential(nn.Linear(sizes['width'], projected), nn.GELU(), nn.Linear(projected, projected))
        self.with_attentions = attention == 'eager'

    def forward(self, pixels):
        output = self.tower(pixels, output_hidden_states=True, output_attentions=self.with_attentions)
        features = self.projector(output.hidden_states[-1][:, 1:])
        return features, output.attentions  # [1, N, D], layers x [1, H, 1 + N, 1 + N]


def first_run(model: nn.Module, pixels: torch.Tensor) -> int | None:
    """Memory that the first run adds to the process, in bytes; None where the system does not tell (Linux does)."""
    status, clear = Path('/proc/self/status'), Path('/proc/self/clear_refs')
    try:
        clear.write_text('5')
    except OSError:
        model(pixels)
        return None
    before = kilobytes(status, 'VmRSS')
    output = model(pixels)
    added = kilobytes(status, 'VmHWM') - before
    del output
    return max(0, added) * 1024


def kilobytes(status: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def milliseconds(model: nn.Module, pixels: torch.Tensor) -> float:
    start = time.perf_counter()
    model(pixels)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in SIZES.items():
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--projected', type=int, default=896, help="the language model's width")
    parser.add_argument('--repeat', type=int, default=5, help='measured runs of each')
    parser.add_argument('--threads', type=int, default=os.cpu_count(), help='the same as hiprune bench --threads')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', type=Path, help='write the result here instead of printing it')
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    sizes = {name: getattr(options, name) for name in SIZES}
    plain = Encoder(sizes, options.projected, 'sdpa').eval()
    eager = Encoder(sizes, options.projected, 'eager').eval()
    eager.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, options.image, options.image)
    with torch.inference_mode():
        first_run(Encoder({**sizes, 'layers': 1}, options.projected, 'sdpa').eval(), pixels)  # what libraries allocate once
        extra = [first_run(model, pixels) for model in (plain, eager)]
        features, attentions = eager(pixels)
        if len(attentions) != sizes['layers'] or not torch.allclose(features, plain(pixels)[0], atol=1e-3):
            raise SystemExit('the two ways do not compute the same')
        del features, attentions
        rounds = [(milliseconds(plain, pixels), milliseconds(eager, pixels)) for _ in range(options.repeat)]
    result = {
        'sizes': sizes,
        'threads': options.threads,
        'seed': options.seed,
        'versions': {'torch': torch.__version__, 'transformers': transformers.__version__, 'python': platform.python_version()},
        'load': os.getloadavg()[0],
        'plain': {'timesMs': [before for before, _ in rounds], 'extraBytes': extra[0]},
        'eager': {'timesMs': [after for _, after in rounds], 'extraBytes': extra[1]},
    }
    text = json.dumps(result, indent=2)
    if options.json:
        options.json.write_text(text + '\n')
    else:
        print(text)


if __name__ == '__main__':
    main()
