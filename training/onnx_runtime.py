"""The exported files in ONNX Runtime: greedy decoding with the KV cache, the way Transformers.js does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from tokens import EOS, IMAGE

SUFFIX = {'fp32': '', 'fp16': '_fp16', 'q8': '_quantized'}


def normalize(pixels: np.ndarray) -> np.ndarray:
    """uint8 [S,S,3] -> float32 [1,3,S,S], as preprocessor_config.json says."""
    return ((pixels.astype(np.float32) / 255 - 0.5) / 0.25).transpose(2, 0, 1)[None]


class OnnxModel:
    def __init__(self, folder: Path, dtype: str = 'fp32'):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        load = lambda name: onnxruntime.InferenceSession(folder / 'onnx' / f'{name}{SUFFIX[dtype]}.onnx', options, providers=['CPUExecutionProvider'])
        self.vision, self.embed, self.decoder = load('vision_encoder'), load('embed_tokens'), load('decoder_model_merged')
        self.tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
        self.past = [i for i in self.decoder.get_inputs() if i.name.startswith('past_key_values')]

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return self.vision.run(None, {'pixel_values': normalize(pixels)})[0]  # [1, patches, width]

    def prompt_ids(self, question: str, image_tokens: int) -> np.ndarray:
        return np.array([self.tokenizer.encode(f"USER: {'<image>' * image_tokens} {question} ASSISTANT:").ids])

    def answer(self, features: np.ndarray, question: str, limit: int = 40) -> str:
        ids = self.prompt_ids(question, features.shape[1])
        embeds = self.embed.run(None, {'input_ids': ids})[0].copy()
        embeds[0, ids[0] == IMAGE] = features[0]
        cache = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32) for i in self.past}
        written: list[int] = []
        length = 0
        while len(written) < limit:
            positions = np.arange(length, length + embeds.shape[1])[None]
            length += embeds.shape[1]
            logits, *present = self.decoder.run(None, {'inputs_embeds': embeds, 'attention_mask': np.ones((1, length), np.int64), 'position_ids': positions, **cache})
            cache = dict(zip(cache, present))
            token = int(logits[0, -1].argmax())
            if token == EOS:
                break
            written.append(token)
            embeds = self.embed.run(None, {'input_ids': np.array([[token]])})[0]
        return self.tokenizer.decode(written)
