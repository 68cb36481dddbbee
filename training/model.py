"""The model (standard Hugging Face classes), its training-only heads and the packed training forward pass."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from data import FRAME, PREFIX
from scenes import CHARACTERS, COLOUR_NAMES, PATCH, SHAPES, make_scene
from tokens import BOS, EOS, IMAGE, PAD, VOCABULARY_SLOTS

WIDTHS = {  # vision width, MLP, heads, layers; language width, MLP, heads, layers
    'smoke': ((64, 128, 2, 12), (64, 128, 2, 2)),
    'cpu': ((128, 384, 4, 12), (128, 352, 4, 4)),
    'gpu': ((256, 768, 8, 12), (256, 704, 8, 6)),
}


def build_model(preset: str, attention: str = 'sdpa') -> LlavaForConditionalGeneration:
    (v_width, v_mlp, v_heads, v_layers), (t_width, t_mlp, t_heads, t_layers) = WIDTHS[preset]
    vision = CLIPVisionConfig(hidden_size=v_width, intermediate_size=v_mlp, projection_dim=v_width, num_hidden_layers=v_layers,
                              num_attention_heads=v_heads, image_size=FRAME * PATCH, patch_size=PATCH, hidden_act='gelu_pytorch_tanh')
    text = LlamaConfig(vocab_size=VOCABULARY_SLOTS, hidden_size=t_width, intermediate_size=t_mlp, num_hidden_layers=t_layers,
                       num_attention_heads=t_heads, num_key_value_heads=t_heads, head_dim=t_width // t_heads, max_position_embeddings=1024,
                       tie_word_embeddings=True, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE, image_seq_length=FRAME * FRAME,
                         vision_feature_layer=-2, vision_feature_select_strategy='default', tie_word_embeddings=True)
    config._attn_implementation = attention
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, do_sample=False, max_new_tokens=40)
    start_vision(vision_transformer(model))
    return model


def vision_transformer(model: LlavaForConditionalGeneration) -> nn.Module:
    tower = model.model.vision_tower
    return getattr(tower, 'vision_model', tower)


OFFSETS = ([(0, 1), (0, -1), (1, 0), (-1, 0)], [(1, 1), (1, -1), (-1, 1), (-1, -1)])  # (columns, rows) a head looks aside
LOCAL_LAYERS = 8
MOST_OBJECTS = 12  # that the head of the number of objects tells apart
EARLY = 4


@torch.no_grad()
def start_vision(tower: nn.Module, seed: int = 0) -> None:
    """Start the tower as a small convolutional network; only the start is special, every weight is trained.

    Half of the width carries the position as sines and cosines, the other half the leading principal components of patches. In the
    first layers each head looks at the neighbour in one direction: with sines and cosines, a shift is a rotation. From the usual start
    attention first has to find the neighbours, which takes longer than the rest of a CPU run.
    """
    half = tower.embeddings.position_embedding.weight.shape[1] // 2
    count = half // 4
    frequency = 0.08 * (2.8 / 0.08) ** (torch.arange(count) / (count - 1))
    rows, columns = torch.meshgrid(torch.arange(FRAME), torch.arange(FRAME), indexing='ij')

    def waves(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # [n, half]: sines and cosines of x, then of y
        return torch.cat([f(axis.reshape(-1, 1) * frequency) for axis in (x, y) for f in (torch.sin, torch.cos)], 1)

    tower.embeddings.position_embedding.weight.zero_()
    tower.embeddings.position_embedding.weight[1:, :half] = waves(columns, rows) * 1.4
    tower.embeddings.patch_embedding.weight.zero_()
    tower.embeddings.patch_embedding.weight[half:] = 0.7 * principal_filters(half, seed)
    for index, layer in enumerate(tower.encoder.layers):
        attention = layer.self_attn
        nn.init.orthogonal_(attention.v_proj.weight)
        nn.init.orthogonal_(attention.out_proj.weight, 0.4)
        for writer in (attention.out_proj, layer.mlp.fc2):  # the position stays readable in deeper layers
            writer.weight[:half] *= 0.2
        if index >= LOCAL_LAYERS:
            continue
        pairs = attention.head_dim // 4  # sine and cosine of the highest frequencies, of both axes, fill a head
        for weight in (attention.q_proj.weight, attention.k_proj.weight):
            weight.mul_(0.2)
        for head in range(attention.num_heads):
            offset = OFFSETS[index % 2][head % 4]
            for axis in range(2):
                for pair in range(pairs):
                    wave = count - pairs + pair
                    row = head * attention.head_dim + (axis * pairs + pair) * 2
                    sine, cosine = axis * 2 * count + wave, axis * 2 * count + count + wave
                    turn = float(frequency[wave]) * offset[axis]
                    c, s = math.cos(turn), math.sin(turn)
                    attention.q_proj.weight[row:row + 2, [sine, cosine]] += 1.4 * torch.tensor([[c, s], [-s, c]])
                    attention.k_proj.weight[row:row + 2, [sine, cosine]] += 1.4 * torch.eye(2)


def principal_filters(count: int, seed: int) -> torch.Tensor:
    """[count, 3, PATCH, PATCH]: leading principal components of patches of scenes, each with unit variance."""
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(np.stack([make_scene(rng, 160).pixels for _ in range(120)])).float()
    side = 160 // PATCH
    patches = images.reshape(-1, side, PATCH, side, PATCH, 3).permute(0, 1, 3, 5, 2, 4).reshape(-1, 3 * PATCH * PATCH)
    patches = (patches / 255 - 0.5) / 0.25
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = vectors.flip(1)[:, :count] / (values.flip(0)[:count] + 1e-2).sqrt()
    return filters.T.reshape(count, 3, PATCH, PATCH)


class Heads(nn.Module):
    """Training only. Linear read-outs of hidden state -2 per patch, of both CLS states, and of the second decoder layer.

    The silhouette of the object within each patch is read early: shapes are learned through it, and hardly without. The number of
    objects is read from every patch, background included: the one thing that all tokens are asked to know of the whole image.
    """

    def __init__(self, vision_width: int, text_width: int):
        super().__init__()
        self.norm = nn.LayerNorm(vision_width)
        self.sizes = [len(SHAPES) + 1, len(COLOUR_NAMES), len(CHARACTERS) + 1, 3, 2, MOST_OBJECTS + 1]
        self.patch = nn.Linear(vision_width, sum(self.sizes))
        self.early_norm = nn.LayerNorm(vision_width)
        self.silhouette = nn.Linear(vision_width, 64)
        self.listed = nn.Linear(vision_width, len(SHAPES) * len(COLOUR_NAMES))
        self.listed_last = nn.Linear(vision_width, len(SHAPES) * len(COLOUR_NAMES))
        self.mentioned = nn.Sequential(nn.Linear(text_width, text_width), nn.GELU(), nn.Linear(text_width, 3))


def encode_images(model, batch, through_last: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Hidden states -2 and EARLY, [B, 1 + patches, width], and, if asked, CLS after the last layer and post-layernorm."""
    tower = vision_transformer(model)
    side = batch['pixels'].shape[1] // PATCH
    pixels = (batch['pixels'].permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    patches = tower.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    table = tower.embeddings.position_embedding.weight
    axis = torch.arange(side, device=pixels.device)
    columns, rows = (batch['origin'][:, i, None] + axis for i in (0, 1))  # [B, side]
    window = (rows[:, :, None] * FRAME + columns[:, None, :]).flatten(1) + 1  # [B, patches]
    cls = (tower.embeddings.class_embedding + table[0]).expand(len(patches), 1, -1)
    hidden = tower.pre_layrnorm(torch.cat([cls, patches + table[window]], 1))
    early = hidden
    for index, layer in enumerate(tower.encoder.layers[:-1], 1):
        hidden = first(layer(hidden, attention_mask=None))
        early = hidden if index == EARLY else early
    if not through_last:
        return hidden, early, None
    return hidden, early, tower.post_layernorm(first(tower.encoder.layers[-1](hidden, attention_mask=None))[:, 0])


def first(output):
    return output[0] if isinstance(output, tuple) else output


def vision_losses(heads: Heads, batch, hidden, early, last_cls) -> dict[str, torch.Tensor]:
    normed = heads.norm(hidden)
    shape, colour, character, offset, place, number = heads.patch(normed[:, 1:]).float().split(heads.sizes, -1)
    on_object = batch['shape'] > 0
    side = batch['pixels'].shape[1] // PATCH
    axis = torch.arange(side, device=hidden.device)
    rows, columns = torch.meshgrid(axis, axis, indexing='ij')
    truth = (batch['origin'][:, None] + torch.stack([columns, rows], -1).reshape(1, -1, 2) + 0.5) / FRAME
    shape_weight = torch.ones(shape.shape[-1], device=hidden.device)
    shape_weight[0] = 0.15
    character_weight = torch.ones(character.shape[-1], device=hidden.device)
    character_weight[0] = 0.1
    positive = torch.tensor(8.0, device=hidden.device)
    losses = {
        'shape': F.cross_entropy(shape.flatten(0, 1), batch['shape'].flatten(), shape_weight),
        'colour': 0.5 * F.cross_entropy(colour.flatten(0, 1), batch['colour'].flatten()),
        'character': F.cross_entropy(character.flatten(0, 1), batch['character'].flatten(), character_weight),
        'offset': F.smooth_l1_loss(offset[on_object], batch['offset'][on_object], beta=0.2),
        'silhouette': 2 * F.binary_cross_entropy_with_logits(heads.silhouette(heads.early_norm(early[:, 1:])).float(), batch['silhouette']),
        'place': 5 * F.mse_loss(place, truth),
        'number': 0.5 * F.cross_entropy(number.flatten(0, 1), batch['number'].clamp(max=MOST_OBJECTS).repeat_interleave(number.shape[1])),
        'listed': 2 * F.binary_cross_entropy_with_logits(heads.listed(normed[:, 0]).float(), batch['listed'], pos_weight=positive),
    }
    if last_cls is not None:
        losses['listed_last'] = 2 * F.binary_cross_entropy_with_logits(heads.listed_last(last_cls).float(), batch['listed'], pos_weight=positive)
    return losses


def working_type(inputs: torch.Tensor) -> torch.dtype:
    kind = inputs.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype


def packed_mask(blocks: torch.Tensor, prefix: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive [B,1,L,L]: causal; a question (block) sees the whole prefix and itself, never another question."""
    batch, text = blocks.shape
    whole = torch.cat([blocks.new_full((batch, prefix), -2), blocks], 1)
    same = (whole[:, :, None] == whole[:, None, :]) | (whole[:, None, :] == -2)
    causal = torch.ones(prefix + text, prefix + text, dtype=torch.bool, device=blocks.device).tril()
    return torch.zeros(1, dtype=dtype, device=blocks.device).masked_fill(~(same & causal), -1e9)[:, None]


def language_losses(model, heads: Heads, batch, hidden) -> tuple[dict[str, torch.Tensor], float]:
    """Cross entropy of the answers and the position head's loss; also the share of answer tokens that are right."""
    features = model.model.multi_modal_projector(hidden[:, 1:])
    embed = model.get_input_embeddings()
    start = embed(PREFIX.to(hidden.device)).expand(len(features), -1, -1)
    inputs = torch.cat([start, features, embed(batch['ids'])], 1)
    prefix = 2 + features.shape[1]
    positions = torch.cat([torch.arange(prefix, device=hidden.device).expand(len(features), -1), batch['positions']], 1)
    second: list[torch.Tensor] = []
    hook = model.model.language_model.layers[1].register_forward_hook(lambda module, args, output: second.append(first(output)))
    output = model.model.language_model(inputs_embeds=inputs, attention_mask=packed_mask(batch['blocks'], prefix, working_type(inputs)),
                                        position_ids=positions, use_cache=False).last_hidden_state
    hook.remove()
    answered = batch['labels'] >= 0
    logits = model.lm_head(output[:, prefix:][answered]).float()
    labels = batch['labels'][answered]
    at = second[0][:, prefix:][batch['mentions'][:, 0], batch['mentions'][:, 1]]
    losses = {'answer': F.cross_entropy(logits, labels),
              'mentioned': 4 * F.smooth_l1_loss(heads.mentioned(at).float(), batch['mentioned_at'], beta=0.1, reduction='sum') / (3 * max(1, len(at)))}
    return losses, (logits.argmax(-1) == labels).float().mean().item()
