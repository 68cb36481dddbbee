"""Questions about a scene, in words, with their answers.

A question knows which objects it mentions and where, for the training-only head that regresses their positions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from scenes import COLOUR_NAMES, LETTERS, SHAPES, WORDS, Item, Scene

NUMBER_WORDS = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven']
UNKNOWN_ANSWER = 'i do not know'

TEMPLATES = {
    'exist': ['is there {a} ?', 'is there {a} in the image ?', 'can you see {a} ?', 'do you see {a} here ?', 'does the image show {a} ?',
              'are there any {s} ?'],
    'colour': ['what color is the {o} ?', 'what is the color of the {o} ?', 'which color does the {o} have ?', 'the {o} is what color ?',
               'tell me the color of the {o} .'],
    'shape': ['what shape is the {o} ?', 'what is the {o} ?', 'which shape does the {o} have ?', 'what kind of shape is the {o} ?'],
    'count': ['how many {s} are there ?', 'how many {s} are in the image ?', 'how many {s} can you see ?', 'count the {s} .',
              'what is the number of {s} ?'],
    'relation': ['is the {o} {r} the {p} ?', 'is the {o} {r} the {p} in the image ?', 'can you see the {o} {r} the {p} ?'],
    'where': ['where is the {o} relative to the {p} ?', 'where is the {o} compared to the {p} ?', 'seen from the {p} , where is the {o} ?',
              'on which side of the {p} is the {o} ?'],
    'position': ['where is the {o} ?', 'where is the {o} in the image ?', 'in which part of the image is the {o} ?', 'where can i find the {o} ?'],
    'reading': ['what does the sign say ?', 'what is written on the sign ?', 'read the sign .', 'what text is shown ?',
                'what {k} is on the sign ?', 'what {k} is shown ?', 'which {k} do you see ?', 'read the {k} .'],
    'main': ['what is the main object ?', 'what is the largest object ?', 'what is the biggest thing in the image ?', 'which object is the largest ?'],
    'comparison': ['which is larger , the {o} or the {p} ?', 'which is bigger : the {o} or the {p} ?', 'which is smaller , the {o} or the {p} ?',
                   'is the {o} larger than the {p} ?', 'is the {o} smaller than the {p} ?', 'is the {o} bigger than the {p} ?'],
    'choice': ['what color is the {o} ? {c}', 'what shape is the {o} ? {c}', 'which of these is in the image ? {c}',
               'how many objects are there ? {c}', 'where is the {o} relative to the {p} ? {c}', 'what does the sign say ? {c}'],
    'caption': ['describe the image .', 'describe this image .', 'what is in the image ?', 'what do you see ?', 'what does the image show ?'],
    'absent': ['what color is the {o} ?', 'where is the {o} ?', 'what is the color of the {o} ?', 'where is the {o} in the image ?'],
    'unknown': ['what is the {u} ?', 'who is the {u} ?', 'where is the {u} ?', 'is there a {u} ?', 'what color is the {u} ?', 'is the {u} {u} ?',
                'how many {u} are there ?', 'what is the name of the {u} ?', 'why is the {o} {u} ?', 'can you {u} the {u} ?', '{u} {u} ?',
                'how {u} is the {u} ?', 'what {u} is it ?', 'who {u} this ?', 'when did the {u} {u} ?', 'what does the {u} {u} ?',
                'which {u} do you {u} ?', 'what is the {u} doing ?', 'tell me a {u} .', 'what is your {u} ?', 'who are you ?'],
}
PREFIXES = ['please', 'please tell me :', 'tell me ,', 'look at the image .', 'hello ,', 'hi ,', 'answer this :', 'look :']
RELATIONS = {'left': ['left of', 'to the left of'], 'right': ['right of', 'to the right of'], 'above': ['above', 'over', 'higher than'],
             'below': ['below', 'under', 'lower than']}
OPPOSITE = {'left': 'right', 'right': 'left', 'above': 'below', 'below': 'above'}
POSITIONS = ['top left', 'top right', 'bottom left', 'bottom right', 'center']
NOUNS = ['object', 'shape', 'thing']
IMAGE_WORDS = ['image', 'picture', 'photo', 'scene']


def plural(noun: str) -> str:
    return noun + ('es' if noun.endswith('s') else 's')


def article(phrase: str) -> str:
    return ('an ' if phrase[0] in 'aeiou' else 'a ') + phrase


def tokenize(text: str) -> list[str]:
    """The word split of tokenizer.json: lower case, white space, digits and punctuation on their own."""
    return re.findall(r'[0-9?.,:()]|[^\s0-9?.,:()]+', text.lower())


def collect_words() -> list[str]:
    """Every word that questions and answers can contain, sorted."""
    words = set(IMAGE_WORDS) | set(SHAPES) | set(COLOUR_NAMES) | set(WORDS) | {l.lower() for l in LETTERS} | set(NUMBER_WORDS) | set('0123456789?.,:()')
    words |= {plural(s) for s in SHAPES + NOUNS} | set(NOUNS)
    texts = sum(TEMPLATES.values(), []) + PREFIXES + POSITIONS + sum(RELATIONS.values(), []) + [UNKNOWN_ANSWER, 'there is no', 'the largest is a an and sign', 'yes no number letter word sign']
    for text in texts:
        words |= set(tokenize(re.sub(r'\{.\}', ' ', text)))
    return sorted(words)


@dataclass
class Question:
    """tokens: words of the question; mentions: (index into tokens, item index)."""
    type: str
    tokens: list[str]
    answer: str
    mentions: list[tuple[int, int]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return ' '.join(self.tokens)


class Asker:
    """Asks about one scene. Held-out questions share the wording of training ones; scenes and photographs differ."""

    def __init__(self, scene: Scene, rng: np.random.Generator, window: tuple[int, int] = (0, 0), frame: int | None = None):
        """window: left and top of the image in a square frame of so many pixels (the image itself when left out), which positions refer to."""
        self.scene, self.rng, self.items, self.sign = scene, rng, scene.items, scene.sign
        self.window, self.frame = window, frame or scene.pixels.shape[0]

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def phrases(self, index: int) -> list[str]:
        """Noun phrases that fit this item and no other."""
        item = self.items[index]
        result = []
        if sum(i.shape == item.shape for i in self.items) == 1:
            result.append(item.shape)
        if sum(i.colour == item.colour for i in self.items) == 1:
            result += [f'{item.colour} {noun}' for noun in NOUNS[:2]]
        if sum((i.colour, i.shape) == (item.colour, item.shape) for i in self.items) == 1:
            result += [f'{item.colour} {item.shape}'] * 2
        return result

    def build(self, kind: str, template: str, answer: str, slots: dict[str, str], items: dict[str, int] = {}) -> Question:
        tokens: list[str] = tokenize(self.pick(PREFIXES)) if self.rng.random() < 0.08 else []
        mentions = []
        if self.rng.random() < 0.5:
            template = template.replace('image', self.pick(IMAGE_WORDS))
        if self.rng.random() < 0.05:
            template = template.replace('the ', '')
        if self.rng.random() < 0.2:
            template = template.removesuffix(' ?').removesuffix(' .')
        for piece in re.split(r'(\{.\})', template):
            name = piece[1] if piece.startswith('{') else None
            tokens += tokenize(slots[name] if name else piece)
            if name in items:
                mentions.append((len(tokens) - 1, items[name]))
        return Question(kind, tokens, answer, mentions)

    def exist(self) -> Question | None:
        """Half yes, half no. A 'no' recombines what the image shows where it can (as the adversarial split of POPE does)."""
        yes = self.rng.random() < 0.5
        shapes, colours = {i.shape for i in self.items}, {i.colour for i in self.items}
        pairs = {(i.colour, i.shape) for i in self.items}
        style = self.pick(['pair', 'pair', 'shape', 'colour', 'sign'])
        if style == 'sign':
            yes = self.sign is not None
            what = self.pick(['sign', 'number', 'word', 'letter'])
            if what != 'sign':
                yes = yes and self.sign.kind == what
            return self.build('exist', self.pick(TEMPLATES['exist'][:5]), 'yes' if yes else 'no', {'a': article(what)})
        if yes:
            item = self.pick(self.items)
            colour, shape = item.colour, item.shape
        elif style == 'pair':
            near = [(c, s) for c in colours for s in shapes if (c, s) not in pairs]
            near += [(c, self.pick(SHAPES)) for c in sorted(colours)] + [(self.pick(COLOUR_NAMES), s) for s in sorted(shapes)]
            near = [pair for pair in near if pair not in pairs]
            if not near:
                return None
            colour, shape = self.pick(sorted(near))
        else:
            colour = self.pick([c for c in COLOUR_NAMES if c not in colours])
            shape = self.pick([s for s in SHAPES if s not in shapes])
        noun = {'pair': f'{colour} {shape}', 'shape': shape, 'colour': f'{colour} {self.pick(NOUNS)}'}[style]
        template = self.pick(TEMPLATES['exist'])
        return self.build('exist', template, 'yes' if yes else 'no', {'a': article(noun), 's': plural(noun)})

    def attribute(self, kind: str) -> Question | None:
        index = int(self.rng.integers(len(self.items)))
        item = self.items[index]
        known, noun = (item.shape, item.shape) if kind == 'colour' else (item.colour, f'{item.colour} {self.pick(NOUNS[:2])}')
        if sum((i.shape if kind == 'colour' else i.colour) == known for i in self.items) > 1:
            return None
        answer = item.colour if kind == 'colour' else item.shape
        return self.build(kind, self.pick(TEMPLATES[kind]), answer, {'o': noun}, {'o': index})

    def colour(self):
        return self.attribute('colour')

    def shape(self):
        return self.attribute('shape')

    def count(self) -> Question:
        style = self.pick(['all', 'all', 'colour', 'shape'])
        if style == 'all':
            return self.build('count', self.pick(TEMPLATES['count']), NUMBER_WORDS[len(self.items)], {'s': plural(self.pick(NOUNS))})
        item = self.pick(self.items)
        value = getattr(item, style) if self.rng.random() < 0.75 else self.pick(COLOUR_NAMES if style == 'colour' else SHAPES)
        number = sum(getattr(i, style) == value for i in self.items)
        noun = f'{value} {plural(self.pick(NOUNS))}' if style == 'colour' else plural(value)
        return self.build('count', self.pick(TEMPLATES['count']), NUMBER_WORDS[number], {'s': noun})

    def pair(self) -> tuple[int, int, str, str] | None:
        """Two items with a phrase for each."""
        if len(self.items) < 2:
            return None
        first, second = (int(i) for i in self.rng.choice(len(self.items), 2, replace=False))
        a, b = self.phrases(first), self.phrases(second)
        return (first, second, self.pick(a), self.pick(b)) if a and b else None

    def direction(self, first: Item, second: Item) -> str | None:
        """left, right, above or below, or None when it is between two of them."""
        dx, dy = first.x - second.x, first.y - second.y
        if max(abs(dx), abs(dy)) < 1.5 * min(abs(dx), abs(dy)):
            return None
        return ('left' if dx < 0 else 'right') if abs(dx) > abs(dy) else ('above' if dy < 0 else 'below')

    def relation(self) -> Question | None:
        pair = self.pair()
        if pair is None:
            return None
        first, second, a, b = pair
        true = self.direction(self.items[first], self.items[second])
        if true is None:
            return None
        yes = self.rng.random() < 0.5
        asked = true if yes else OPPOSITE[true]
        return self.build('relation', self.pick(TEMPLATES['relation']), 'yes' if yes else 'no',
                          {'o': a, 'p': b, 'r': self.pick(RELATIONS[asked])}, {'o': first, 'p': second})

    def where(self) -> Question | None:
        pair = self.pair()
        answer = pair and self.direction(self.items[pair[0]], self.items[pair[1]])
        if not answer:
            return None
        return self.build('where', self.pick(TEMPLATES['where']), answer, {'o': pair[2], 'p': pair[3]}, {'o': pair[0], 'p': pair[1]})

    def position(self) -> Question | None:
        index = int(self.rng.integers(len(self.items)))
        names = self.phrases(index)
        left, top = self.window
        x, y = (left + self.items[index].x) / self.frame - 0.5, (top + self.items[index].y) / self.frame - 0.5
        if max(abs(x), abs(y)) < 0.12:
            answer = 'center'
        elif min(abs(x), abs(y)) > 0.08 and max(abs(x), abs(y)) > 0.17:
            answer = f"{'top' if y < 0 else 'bottom'} {'left' if x < 0 else 'right'}"
        else:
            return None
        return self.build('position', self.pick(TEMPLATES['position']), answer, {'o': self.pick(names)}, {'o': index}) if names else None

    def reading(self) -> Question | None:
        if self.sign is None:
            return None
        answer = ' '.join(self.sign.text) if self.sign.kind == 'number' else self.sign.text
        return self.build('reading', self.pick(TEMPLATES['reading']), answer, {'k': self.sign.kind})

    def largest(self) -> int | None:
        order = sorted(range(len(self.items)), key=lambda i: -self.items[i].radius)
        clear = len(order) == 1 or self.items[order[0]].radius > 1.35 * self.items[order[1]].radius
        return order[0] if clear else None

    def main(self) -> Question | None:
        index = self.largest()
        if index is None:
            return None
        return self.build('main', self.pick(TEMPLATES['main']), f'{self.items[index].colour} {self.items[index].shape}', {})

    def comparison(self) -> Question | None:
        pair = self.pair()
        if pair is None:
            return None
        first, second, a, b = pair
        ratio = self.items[first].radius / self.items[second].radius
        if 1 / 1.35 < ratio < 1.35:
            return None
        template = self.pick(TEMPLATES['comparison'])
        first_wins = (ratio > 1) != ('smaller' in template)
        answer = (a if first_wins else b) if template.startswith('which') else ('yes' if first_wins else 'no')
        return self.build('comparison', template, answer, {'o': a, 'p': b}, {'o': first, 'p': second})

    def choice(self) -> Question | None:
        """Two to four options behind letters, as ScienceQA and MMBench ask; the answer is the letter."""
        template = self.pick(TEMPLATES['choice'])
        slots: dict[str, str] = {}
        items: dict[str, int] = {}
        if template.startswith(('what color', 'what shape')):
            kind = 'colour' if 'color' in template else 'shape'
            question = self.attribute(kind)
            if question is None:
                return None
            items = {'o': question.mentions[0][1]}
            item = self.items[items['o']]
            slots['o'] = item.shape if kind == 'colour' else f'{item.colour} object'
            answer, pool = question.answer, COLOUR_NAMES if kind == 'colour' else SHAPES
        elif template.startswith('which of'):
            item = self.pick(self.items)
            pairs = {(i.colour, i.shape) for i in self.items}
            answer = f'{item.colour} {item.shape}'
            pool = [f'{c} {s}' for c in COLOUR_NAMES for s in SHAPES if (c, s) not in pairs] + [answer]
        elif template.startswith('how many'):
            answer, pool = NUMBER_WORDS[len(self.items)], NUMBER_WORDS[1:7]
        elif template.startswith('where'):
            question = self.where()
            if question is None:
                return None
            answer, pool = question.answer, list(RELATIONS)
            items = {'o': question.mentions[0][1], 'p': question.mentions[1][1]} if not question.text.startswith('seen') and 'side' not in question.text else {}
            if not items:
                return None
            slots['o'], slots['p'] = (self.pick(self.phrases(items[k])) for k in ('o', 'p'))
        else:
            if self.sign is None or self.sign.kind == 'letter':
                return None
            answer = ' '.join(self.sign.text) if self.sign.kind == 'number' else self.sign.text
            pool = WORDS if self.sign.kind == 'word' else [' '.join(str(n)) for n in range(10 if len(self.sign.text) == 1 else 10, 100)]
        wrong = [o for o in pool if o != answer]
        count = int(self.rng.integers(2, 5))
        options = [wrong[i] for i in self.rng.permutation(len(wrong))[:count - 1]] + [answer]
        options = [options[i] for i in self.rng.permutation(len(options))]
        slots['c'] = ' '.join(f'{letter} ) {option}' for letter, option in zip('abcd', options))
        return self.build('choice', template, 'abcd'[options.index(answer)], slots, items)

    def caption(self) -> Question:
        """Up to three objects are listed from left to right; of more, the number and the largest."""
        if len(self.items) <= 3:
            parts = [article(f'{i.colour} {i.shape}') for i in sorted(self.items, key=lambda i: i.x)]
        else:
            index = self.largest()
            parts = [f'{NUMBER_WORDS[len(self.items)]} objects']
            if index is not None:
                parts[0] += f' , the largest is {article(self.items[index].colour + " " + self.items[index].shape)}'
        parts += ['a sign'] if self.sign else []
        answer = parts[0] if len(parts) == 1 else ' , '.join(parts[:-1]) + ' and ' + parts[-1]
        return self.build('caption', self.pick(TEMPLATES['caption']), answer, {})

    def absent(self) -> Question:
        """A question about an object that is not there has a false premise, and the answer says so."""
        shapes, pairs = {i.shape for i in self.items}, {(i.colour, i.shape) for i in self.items}
        template = self.pick(TEMPLATES['absent'])
        if 'color' in template or self.rng.random() < 0.4:
            noun = self.pick([s for s in SHAPES if s not in shapes])
        else:
            item = self.pick(self.items)
            noun = ' '.join(self.pick([p for p in [(item.colour, s) for s in SHAPES] + [(c, item.shape) for c in COLOUR_NAMES] if p not in pairs]))
        return self.build('absent', template, f'there is no {noun}', {'o': noun})

    def unknown(self) -> Question:
        """Words outside the vocabulary all become <unk>: a question about them cannot be answered."""
        question = self.build('unknown', self.pick(TEMPLATES['unknown']), UNKNOWN_ANSWER, {'u': '<unk>', 'o': self.pick(self.items).shape})
        return question

    def ask(self, kind: str) -> Question | None:
        return getattr(self, kind)() if self.items or kind in ('reading', 'unknown') else None


# How often a type is tried; hard types more often than easy ones. Types that the scene does not allow are skipped.
WEIGHTS = {'exist': 2, 'colour': 1.2, 'shape': 1.2, 'count': 2.5, 'relation': 2, 'where': 3, 'position': 2.2, 'reading': 1.6, 'main': 0.8, 'comparison': 3,
           'choice': 3, 'caption': 0.8, 'absent': 0.7, 'unknown': 0.6}
TYPES = list(WEIGHTS)


def ask_many(scene: Scene, rng: np.random.Generator, count: int, weights: dict[str, float] = WEIGHTS, window: tuple[int, int] = (0, 0),
             frame: int | None = None) -> list[Question]:
    """Up to `count` different questions about the scene."""
    if not scene.items:
        return []
    asker = Asker(scene, rng, window, frame)
    share = np.array(list(weights.values())) / sum(weights.values())
    questions: dict[tuple[str, str], Question] = {}
    for kind in rng.choice(list(weights), count * 3, p=share):
        question = asker.ask(str(kind))
        if question:
            questions.setdefault((question.type, question.text), question)
        if len(questions) == count:
            break
    return list(questions.values())
