"""Synthetic scenes: coloured objects and a sign on plain, textured or photographic backgrounds.

Everything follows from a NumPy generator, so a scene is reproducible from its seed. Pixel positions are measured from the
top left corner of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PATCH = 16
SHAPES = ['circle', 'square', 'triangle', 'star', 'cross', 'ring', 'heart', 'moon', 'house', 'tree']
COLOURS = {
    'red': (205, 35, 35), 'green': (40, 150, 55), 'blue': (40, 75, 210), 'yellow': (240, 215, 45),
    'purple': (140, 50, 170), 'orange': (245, 135, 25), 'white': (243, 243, 243), 'black': (18, 18, 20),
}
COLOUR_NAMES = list(COLOURS)
LETTERS = 'ABCDEFGH'
WORDS = ['stop', 'open', 'exit', 'sale', 'taxi', 'cafe', 'milk', 'zoo', 'bus', 'gate', 'park', 'food']
CHARACTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
SIGN_LABEL = 255  # in Scene.labels: the sign is no object, but the mask file shows it

# Held-out photographs are other files than training ones, not other crops of the same files.
PHOTOS = {
    'train': ['skimage:astronaut.png', 'skimage:camera.png', 'skimage:coffee.png', 'skimage:coins.png', 'skimage:grass.png',
              'skimage:gravel.png', 'skimage:hubble_deep_field.jpg', 'skimage:ihc.png', 'skimage:moon.png',
              'skimage:motorcycle_left.png', 'skimage:retina.jpg', 'skimage:clock_motion.png', 'sklearn:flower.jpg',
              'matplotlib:grace_hopper.jpg'],
    'held-out': ['skimage:chelsea.png', 'skimage:rocket.jpg', 'skimage:brick.png', 'sklearn:china.jpg'],
}
FONTS = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf', 'DejaVuSerif-Bold.ttf', 'DejaVuSansMono-Bold.ttf']


@dataclass
class Item:
    """One object. x, y: centre in pixels; radius: of the circle around it."""
    shape: str
    colour: str
    x: float
    y: float
    radius: float


@dataclass
class Sign:
    """A plate with text: kind is number, letter or word."""
    kind: str
    text: str
    x: float
    y: float


@dataclass
class Scene:
    pixels: np.ndarray  # uint8 [size, size, 3]
    labels: np.ndarray  # uint8 [size, size]: 0 background, i + 1 item i, SIGN_LABEL the sign
    characters: np.ndarray  # uint8 [size, size]: 0 nothing, i + 1 the box of CHARACTERS[i]
    ink: np.ndarray  # bool [size, size]: the strokes of the sign's text
    items: list[Item]
    sign: Sign | None
    background: str


@lru_cache(maxsize=None)
def package_file(name: str) -> Path:
    """A data file that ships inside an installed package; nothing is downloaded."""
    package, file = name.split(':')
    if package == 'skimage':
        import skimage
        return Path(skimage.__file__).parent / 'data' / file
    if package == 'sklearn':
        import sklearn
        return Path(sklearn.__file__).parent / 'datasets' / 'images' / file
    import matplotlib
    folder = 'fonts/ttf' if file.endswith('.ttf') else 'sample_data'
    return Path(matplotlib.get_data_path()) / folder / file


@lru_cache(maxsize=None)
def load_photo(name: str) -> Image.Image:
    photo = Image.open(package_file(name)).convert('RGB')
    photo.thumbnail((720, 720))  # a crop of the size of the scene then shows things, not one flat detail
    return photo


@lru_cache(maxsize=None)
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(package_file('matplotlib:' + name)), size)


def draw_background(rng: np.random.Generator, size: int, split: str, kind: str | None = None) -> tuple[np.ndarray, str]:
    """float32 [size, size, 3] and its kind."""
    kind = kind or str(rng.choice(['photo', 'plain', 'gradient', 'noise'], p=[0.55, 0.13, 0.12, 0.2]))
    base = rng.uniform(30, 225, 3).astype(np.float32)
    if kind == 'plain':
        return np.broadcast_to(base, (size, size, 3)).copy(), kind
    if kind == 'gradient':
        other = np.clip(base + rng.uniform(-90, 90, 3), 0, 255).astype(np.float32)
        angle = rng.uniform(0, 2 * math.pi)
        axis = np.arange(size, dtype=np.float32) / size - 0.5
        ramp = np.clip(axis[None, :] * math.cos(angle) + axis[:, None] * math.sin(angle) + 0.5, 0, 1)[..., None]
        return base * (1 - ramp) + other * ramp, kind
    if kind == 'noise':
        cells = int(rng.integers(4, 40))
        noise = rng.uniform(-1, 1, (cells, cells, 3)) * rng.uniform(8, 45)
        noise = noise if rng.random() < 0.5 else noise[..., :1].repeat(3, axis=2)
        coarse = np.clip(base + noise, 0, 255).astype(np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((size, size), Image.BILINEAR), dtype=np.float32), kind
    name = str(rng.choice(PHOTOS[split]))
    photo = load_photo(name)
    side = rng.uniform(min(size, min(photo.size)) * 0.6, min(photo.size))
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    crop = photo.resize((size, size), Image.BILINEAR, box=(left, top, left + side, top + side))
    pixels = np.asarray(crop, dtype=np.float32)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    contrast = rng.uniform(0.4, 1.0)
    return 128 + (pixels - 128) * contrast + rng.uniform(-25, 25), 'photo:' + name.split(':')[1]


def regular_points(count: int, radii: tuple[float, ...], start: float = -math.pi / 2) -> np.ndarray:
    angles = start + np.arange(count) * 2 * math.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.array([radii[i % len(radii)] for i in range(count)])[:, None]


def heart_points() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 40)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2], 1) / 17


# Outlines inside the unit circle, y downwards. Circle, ring and moon are drawn with ellipses instead.
OUTLINES = {
    'square': np.array([(-.8, -.8), (.8, -.8), (.8, .8), (-.8, .8)]),
    'triangle': regular_points(3, (1.0,)),
    'star': regular_points(10, (1.0, 0.42)),
    'cross': np.array([(-.3, -.95), (.3, -.95), (.3, -.3), (.95, -.3), (.95, .3), (.3, .3), (.3, .95), (-.3, .95), (-.3, .3),
                       (-.95, .3), (-.95, -.3), (-.3, -.3)]),
    'heart': heart_points(),
    'house': np.array([(0, -1), (.9, -.2), (.65, -.2), (.65, .85), (.2, .85), (.2, .3), (-.2, .3), (-.2, .85), (-.65, .85),
                       (-.65, -.2), (-.9, -.2)]),
    'tree': np.array([(0, -1), (.5, -.35), (.28, -.35), (.75, .4), (.17, .4), (.17, 1), (-.17, 1), (-.17, .4), (-.75, .4),
                      (-.28, -.35), (-.5, -.35)]),
}


def draw_shape(shape: str, radius: float, angle: float) -> np.ndarray:
    """Coverage in [0, 1], float32 [side, side], with side = 2 * ceil(radius) + 2, drawn at twice the resolution."""
    half = math.ceil(radius) + 1
    scale = 2
    canvas = Image.new('L', (2 * half * scale, 2 * half * scale), 0)
    draw = ImageDraw.Draw(canvas)
    middle, r = half * scale, radius * scale

    def ellipse(x: float, y: float, size: float, fill: int) -> None:
        draw.ellipse((middle + x - size, middle + y - size, middle + x + size, middle + y + size), fill=fill)

    if shape in ('circle', 'ring', 'moon'):
        ellipse(0, 0, r * 0.95, 255)
        if shape == 'ring':
            ellipse(0, 0, r * 0.52, 0)
        if shape == 'moon':
            ellipse(math.cos(angle) * r * 0.5, math.sin(angle) * r * 0.5, r * 0.75, 0)
    else:
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        draw.polygon([tuple(p) for p in (OUTLINES[shape] @ turn) * r + middle], fill=255)
    return np.asarray(canvas.reduce(scale), dtype=np.float32) / 255


def free_place(rng, size: int, half_width: float, half_height: float, boxes: list) -> tuple[float, float] | None:
    """A centre whose box keeps 4 px from every other box, or None: after 30 tries, or because the box is too large."""
    if 2 * max(half_width, half_height) + 4 >= size:
        return None
    for _ in range(30):
        x = rng.uniform(half_width + 2, size - half_width - 2)
        y = rng.uniform(half_height + 2, size - half_height - 2)
        if all(abs(x - bx) > half_width + bw + 4 or abs(y - by) > half_height + bh + 4 for bx, by, bw, bh in boxes):
            boxes.append((x, y, half_width, half_height))
            return x, y
    return None


def crowded_places(rng, size: int, boxes: list, cell: int | None = None) -> list[tuple[float, float, float]]:
    """(x, y, radius) of objects that fill the cells of a lattice, shuffled: more than free_place finds room for."""
    cells = max(1, round(size / (cell or rng.choice([54, 80]))))
    cell = size / cells
    places = []
    for index in rng.permutation(cells * cells):
        radius = cell * rng.uniform(0.36, 0.46)
        x, y = (cell * (part + 0.5) + rng.uniform(-1, 1) * (cell / 2 - radius - 1) for part in (index % cells, index // cells))
        if all(abs(x - bx) > radius + bw or abs(y - by) > radius + bh for bx, by, bw, bh in boxes):
            places.append((x, y, radius))
    return places


def draw_sign(rng, pixels, labels, characters, ink, boxes, dense: bool) -> Sign | None:
    size = pixels.shape[0]
    kind = str(rng.choice(['number', 'letter', 'word'], p=[0.55, 0.15, 0.3]))
    if dense:  # every character equally often, in any company
        text = ''.join(rng.choice(list(CHARACTERS), rng.integers(2, 5)))
    elif kind == 'number':
        text = str(rng.integers(0, 10)) if rng.random() < 0.35 else str(rng.integers(10, 100))
    elif kind == 'letter':
        text = str(rng.choice(list(LETTERS)))
    else:
        text = str(rng.choice(WORDS)).upper()
    font = load_font(str(rng.choice(FONTS)), int(rng.integers(34, 49)))
    advances = [font.getlength(text[:i]) for i in range(len(text) + 1)]
    ascent, descent = font.getmetrics()
    width, height = advances[-1] + 12, ascent + descent + 2
    place = free_place(rng, size, width / 2, height / 2, boxes)
    if place is None:
        return None
    left, top = round(place[0] - width / 2), round(place[1] - height / 2)
    dark, light = rng.uniform(0, 60, 3), rng.uniform(200, 255, 3)
    stroke, plate = (dark, light) if rng.random() < 0.6 else (light, dark)
    canvas = Image.new('L', (math.ceil(width), math.ceil(height)), 0)
    ImageDraw.Draw(canvas).text((6, 1), text, fill=255, font=font)
    coverage = np.asarray(canvas, dtype=np.float32)[..., None] / 255
    window = (slice(top, top + canvas.height), slice(left, left + canvas.width))
    pixels[window] = plate * (1 - coverage) + stroke * coverage
    labels[window] = SIGN_LABEL
    ink[window] = coverage[..., 0] > 0.5
    for i, character in enumerate(text):
        columns = slice(left + 6 + round(advances[i]), left + 6 + round(advances[i + 1]))
        characters[top + 3:top + canvas.height - 3, columns] = CHARACTERS.index(character) + 1
    return Sign(kind, text.lower(), *place)


def choose_look(rng, items: list[Item], under: np.ndarray) -> tuple[str, str]:
    """Shape and colour; often one that is already there, so that colour and shape must be read together."""
    shape = str(rng.choice(SHAPES))
    colour = str(rng.choice(COLOUR_NAMES))
    if items and rng.random() < 0.3:
        shape = items[rng.integers(len(items))].shape
    if items and rng.random() < 0.3:
        colour = items[rng.integers(len(items))].colour
    for _ in range(8):  # an object of the colour of its background cannot be seen by anybody
        if np.abs(np.array(COLOURS[colour]) - under).max() > 60:
            break
        colour = str(rng.choice(COLOUR_NAMES))
    return shape, colour


def choose_places(rng, size: int, boxes: list) -> list[tuple[float, float, float]]:
    """(x, y, radius) of one to six objects. How many hardly depends on the size, so that it cannot be guessed from the number of tokens:
    small images are a lattice half of the time, where as many find room."""
    places = []
    count = int(rng.integers(1, 7))
    if size < 260 and rng.random() < 0.5:
        return crowded_places(rng, size, boxes, cell=48)[:count]
    for index in range(count):
        large = rng.random() < (0.6 if index == 0 else 0.25)
        radius = rng.uniform(36, 56) * min(1, size / 260) if large else rng.uniform(19, 26)
        place = free_place(rng, size, radius, radius, boxes)
        if place:
            places.append((*place, radius))
    return places


def make_scene(rng: np.random.Generator, size: int = 320, split: str = 'train', background: str | None = None, dense: bool = False) -> Scene:
    """Draw one scene. size: side in pixels, a multiple of PATCH; split: which photographs may be used; dense: as many objects as
    fit and signs of random characters (for the vision stage, which learns from every object)."""
    pixels, background = draw_background(rng, size, split, background)
    pixels = np.clip(pixels, 0, 255)
    labels = np.zeros((size, size), np.uint8)
    characters = np.zeros((size, size), np.uint8)
    ink = np.zeros((size, size), bool)
    boxes: list = []
    items: list[Item] = []
    sign = draw_sign(rng, pixels, labels, characters, ink, boxes, dense) if rng.random() < (0.85 if dense else 0.5) else None
    for x, y, radius in (crowded_places if dense else choose_places)(rng, size, boxes):
        half = math.ceil(radius) + 1
        left, top = round(x) - half, round(y) - half
        rows, columns = slice(max(top, 0), top + 2 * half), slice(max(left, 0), left + 2 * half)
        shape, colour = choose_look(rng, items, pixels[rows, columns].mean((0, 1)))
        coverage = draw_shape(shape, radius, rng.uniform(-0.25, 0.25))
        coverage = coverage[max(-top, 0):, max(-left, 0):][:size - rows.start, :size - columns.start]
        fill = np.clip(np.array(COLOURS[colour]) + rng.uniform(-12, 12, 3), 0, 255)
        shade = np.linspace(1.06, rng.uniform(0.88, 1.0), coverage.shape[0], dtype=np.float32)[:, None, None]
        region = pixels[rows, columns]
        pixels[rows, columns] = region * (1 - coverage[..., None]) + np.clip(fill * shade, 0, 255) * coverage[..., None]
        items.append(Item(shape, colour, x, y, radius))
        labels[rows, columns][coverage > 0.5] = len(items)
    pixels = pixels * rng.uniform(0.85, 1.1) + rng.normal(0, rng.uniform(0, 5), (size, size, 1))
    return Scene(np.clip(pixels, 0, 255).astype(np.uint8), labels, characters, ink, items, sign, background)


def patch_targets(scene: Scene) -> dict[str, np.ndarray]:
    """Per patch, row-major [patches]: item (0 none, i + 1), character (0 none); silhouette [patches, 64]: share of each 2 x 2 px cell
    that is an object or ink."""
    side = scene.labels.shape[0] // PATCH

    def counts(label_map: np.ndarray, kinds: int) -> np.ndarray:  # [patches, kinds]
        blocks = label_map.reshape(side, PATCH, side, PATCH).swapaxes(1, 2).reshape(side * side, -1).astype(np.int64)
        flat = blocks + np.arange(side * side)[:, None] * kinds
        return np.bincount(flat.ravel(), minlength=side * side * kinds).reshape(-1, kinds)

    area = PATCH * PATCH
    objects = counts(np.where(scene.labels == SIGN_LABEL, 0, scene.labels), len(scene.items) + 1)
    item = np.where(objects[:, 0] < 0.8 * area, objects[:, 1:].argmax(1) + 1, 0) if scene.items else np.zeros(side * side, np.int64)
    letters = counts(scene.characters, len(CHARACTERS) + 1)
    character = np.where(letters[:, 0] < 0.6 * area, letters[:, 1:].argmax(1) + 1, 0)
    filled = ((scene.labels > 0) & (scene.labels != SIGN_LABEL)) | scene.ink
    silhouette = filled.reshape(side, 8, 2, side, 8, 2).mean((2, 5), dtype=np.float32).swapaxes(1, 2).reshape(side * side, 64)
    return {'item': item, 'silhouette': silhouette, 'character': character}
