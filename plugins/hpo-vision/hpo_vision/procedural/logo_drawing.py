"""Draws the four classes of logos, so that some are close to each other: a weak gradient is nearly a flat shape, a
single letter is nearly one, and three shapes on top of each other are nearly one of them.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from hpo_core import Part
from hpo_vision.procedural import fonts, silhouettes
from hpo_vision.procedural.camera import taken
from hpo_vision.procedural.colours import Colour, contrasting, ground, near

CLASSES = ("complex", "gradient", "simple", "text")


def logo(source: random.Random, label: int, part: Part, size: int) -> Image.Image:
    """A logo of the class with that label (RGB, `size` x `size`), drawn at twice the size."""
    behind = ground(source, part)
    canvas = Image.new("RGB", (2 * size, 2 * size), behind)
    DRAWN[CLASSES[label]](source, canvas, part, behind, source.uniform(0.24, 0.42) * 2 * size)
    return taken(source, canvas, behind)


def simple(
    source: random.Random, canvas: Image.Image, part: Part, behind: Colour, radius: float
) -> None:
    """One shape of one colour."""
    shape = silhouettes.any_flat(source)
    canvas.paste(contrasting(source, part, behind), mask=_middle(canvas, shape, radius))


def gradient(
    source: random.Random, canvas: Image.Image, part: Part, behind: Colour, radius: float
) -> None:
    """One shape of two colours that flow into each other; in a third of all logos they are alike.

    From side to side, or from the middle outwards, but not round a hole: there little of it would be seen.
    """
    shape = silhouettes.any_flat(source)
    first = contrasting(source, part, behind)
    second = near(source, first, 40, 80) if source.random() < 1 / 3 else _other(source, part, first)
    outwards = shape[1] is None and source.random() < 0.5
    fill = _flowing(source, canvas.width, first, second, radius, outwards)
    canvas.paste(fill, mask=_middle(canvas, shape, radius))


def text(
    source: random.Random, canvas: Image.Image, part: Part, behind: Colour, radius: float
) -> None:
    """Two to six letters, or one in a sixth of all logos."""
    count = 1 if source.random() < 1 / 6 else source.randint(2, 6)
    middle = canvas.width / 2
    written = _letters(source, canvas.width, part, count, (middle, middle), radius)
    canvas.paste(contrasting(source, part, behind), mask=written)


def complex_(
    source: random.Random, canvas: Image.Image, part: Part, behind: Colour, radius: float
) -> None:
    """Three to seven translucent shapes over each other, some with a gradient, some with letters on top."""
    count = source.choices((3, 4, 5, 6, 7), (5, 4, 3, 2, 2))[0]
    flowing = source.randrange(count) if source.random() < 0.4 else None
    for number in range(count):
        colour = contrasting(source, part, behind, least=60)
        fill: Colour | Image.Image = colour
        if number == flowing:
            fill = _flowing(
                source, canvas.width, colour, _other(source, part, colour), radius, False
            )
        canvas.paste(fill, mask=_layer(source, canvas, radius))
    if source.random() < 0.3:
        middle = canvas.width / 2
        written = _letters(
            source, canvas.width, part, source.randint(1, 3), (middle, middle), radius / 2
        )
        canvas.paste(contrasting(source, part, behind), mask=written)


Painter = Callable[[random.Random, Image.Image, Part, Colour, float], None]

DRAWN: dict[str, Painter] = {
    "complex": complex_,
    "gradient": gradient,
    "simple": simple,
    "text": text,
}


def _other(source: random.Random, part: Part, colour: Colour) -> Colour:
    """A colour of the palette that is well apart from another one."""
    return contrasting(source, part, colour, least=110)


def _middle(canvas: Image.Image, shape: silhouettes.Silhouette, radius: float) -> Image.Image:
    """The mask of a shape in the middle."""
    middle = canvas.width / 2
    return silhouettes.mask(shape, canvas.width, (middle, middle), radius)


def _layer(source: random.Random, canvas: Image.Image, radius: float) -> Image.Image:
    """A translucent shape near the middle, smaller than the whole."""
    silhouette = silhouettes.any_flat(source)
    middle, reach = canvas.width / 2, 0.45 * radius
    centre = middle + source.uniform(-reach, reach), middle + source.uniform(-reach, reach)
    opacity = source.uniform(0.45, 0.85)
    mask = silhouettes.mask(silhouette, canvas.width, centre, source.uniform(0.5, 0.85) * radius)
    return mask.point([round(opacity * level) for level in range(256)])


def _flowing(
    source: random.Random,
    side: int,
    first: Colour,
    second: Colour,
    radius: float,
    outwards: bool,
) -> Image.Image:
    """A gradient over the extent of a mark, radial or, at any angle, linear."""
    down, across = np.mgrid[0:side, 0:side] - (side - 1) / 2
    if outwards:
        share = np.hypot(across, down) / radius
    else:
        angle = source.uniform(0, math.tau)
        share = 0.5 + (across * math.cos(angle) + down * math.sin(angle)) / (2 * radius)
    share = share.clip(0, 1)[..., None]
    return Image.fromarray((share * first + (1 - share) * second).round().astype(np.uint8))


def _letters(
    source: random.Random,
    side: int,
    part: Part,
    count: int,
    centre: tuple[float, float],
    radius: float,
) -> Image.Image:
    """A mask of so many letters, in capitals, small or mixed, as wide or high as the mark."""
    alphabet = source.choice((string.ascii_uppercase, string.ascii_lowercase, string.ascii_letters))
    word = "".join(source.choices(alphabet, k=count))
    name = source.choice(fonts.of(part))
    left, top, right, bottom = fonts.font(name, 100).getbbox(word, anchor="mm")
    size = max(6, round(100 * 2 * radius / max(right - left, (bottom - top) * 1.2)))
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).text(centre, word, 255, fonts.font(name, size), anchor="mm")
    return mask
