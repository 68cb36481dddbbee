"""The word tokenizer: ids, and the tokenizer.json that Transformers.js and Python Transformers load.

Transformers.js has no WordLevel model, so the vocabulary is stored as WordPiece without continuation pieces.
"""

from __future__ import annotations

import json
from pathlib import Path

from questions import collect_words

SPECIAL = ['<pad>', '<s>', '</s>', '<unk>', '<image>', 'USER:', 'ASSISTANT:']
PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT = range(7)
VOCABULARY = {word: i for i, word in enumerate(SPECIAL + collect_words())}
VOCABULARY_SLOTS = -(-len(VOCABULARY) // 64) * 64
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}USER: {% if m['content'] is string %}{{ m['content'] }} {% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% endif %}{% endfor %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }} {% endif %}{% endfor %}{% endif %}"
    "{% elif m['role'] == 'assistant' %}ASSISTANT: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %} </s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}")


def encode(words: list[str]) -> list[int]:
    return [VOCABULARY.get(word, UNK) for word in words]


def decode(ids: list[int]) -> str:
    names = list(VOCABULARY)
    return ' '.join(names[i] for i in ids if i < len(names) and i not in (PAD, BOS, EOS))


def write_tokenizer(folder: Path, image_size: int, patch_size: int) -> None:
    """tokenizer.json, tokenizer_config.json, chat_template.jinja and the two processor files."""
    added = [{'id': i, 'content': word, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False, 'special': i < 5}
             for i, word in enumerate(SPECIAL)]
    replaced = {'colour': 'color'}
    tokenizer = {
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
        'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'Lowercase'}] + [
            {'type': 'Replace', 'pattern': {'String': old}, 'content': new} for old, new in replaced.items()]},
        'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'WhitespaceSplit'}, {
            'type': 'Split', 'pattern': {'Regex': '[0-9?.,:()]'}, 'behavior': 'Isolated', 'invert': False}]},
        'post_processor': {
            'type': 'TemplateProcessing',
            'single': [{'SpecialToken': {'id': '<s>', 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}],
            'pair': [{'SpecialToken': {'id': '<s>', 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
            'special_tokens': {'<s>': {'id': '<s>', 'ids': [BOS], 'tokens': ['<s>']}}},
        'decoder': {'type': 'WordPiece', 'prefix': '##', 'cleanup': False},
        'model': {'type': 'WordPiece', 'unk_token': '<unk>', 'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100, 'vocab': VOCABULARY},
    }
    config = {
        'tokenizer_class': 'PreTrainedTokenizerFast', 'model_max_length': 1024, 'chat_template': CHAT_TEMPLATE,
        'clean_up_tokenization_spaces': False, 'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'pad_token': '<pad>',
        'image_token': '<image>', 'added_tokens_decoder': {str(a['id']): {k: v for k, v in a.items() if k != 'id'} for a in added},
    }
    # With these two values both libraries repeat <image> exactly (size / patch)^2 times; config.json has the true strategy.
    processor = {'processor_class': 'LlavaProcessor', 'image_token': '<image>', 'patch_size': patch_size, 'num_additional_image_tokens': 0,
                 'vision_feature_select_strategy': 'full'}
    preprocessor = {
        'image_processor_type': 'CLIPImageProcessor', 'processor_class': 'LlavaProcessor', 'do_convert_rgb': True, 'do_resize': True,
        'size': {'height': image_size, 'width': image_size}, 'resample': 2, 'do_center_crop': False, 'do_rescale': True,
        'rescale_factor': 1 / 255, 'do_normalize': True, 'image_mean': [0.5] * 3, 'image_std': [0.25] * 3}
    for name, content in [('tokenizer.json', tokenizer), ('tokenizer_config.json', config), ('processor_config.json', processor),
                          ('preprocessor_config.json', preprocessor)]:
        (folder / name).write_text(json.dumps(content, indent=1) + '\n')
    (folder / 'chat_template.jinja').write_text(CHAT_TEMPLATE)
