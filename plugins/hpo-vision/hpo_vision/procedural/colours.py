"""Colours of drawn images: those of the test part are no colours of the parts that are trained and judged on."""

from __future__ import annotations

import colorsys
import math
import random

from hpo_core import Part

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


def _hues(shift: float, tone: tuple[tuple[float, float], ...]) -> tuple[Colour, ...]:
    """Twelve hues, `shift` of a step away from red, in each tone (lightness, saturation)."""
    return tuple(
        _rgb((hue + shift) / 12, lightness, saturation)
        for lightness, saturation in tone
        for hue in range(12)
    )


def _rgb(hue: float, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


_TONES = ((0.5, 0.85), (0.35, 0.7), (0.65, 0.6))
_GROUNDS = ((0.9, 0.5), (0.16, 0.4))

SEEN = (*_hues(0.0, _TONES), (32, 32, 32), (112, 112, 112))
"""What the marks of the parts train and val are coloured with."""
UNSEEN = (*_hues(0.5, _TONES), (56, 56, 56), (144, 144, 144))
"""The same for the part test."""
SEEN_GROUNDS = _hues(0.0, _GROUNDS)
UNSEEN_GROUNDS = _hues(0.5, _GROUNDS)


def palette(part: Part) -> tuple[Colour, ...]:
    """The colours that marks of a part are drawn with."""
    return UNSEEN if part == "test" else SEEN


def ground(source: random.Random, part: Part) -> Colour:
    """A background: white in half of all images, else light or dark."""
    grounds = UNSEEN_GROUNDS if part == "test" else SEEN_GROUNDS
    return WHITE if source.random() < 0.5 else source.choice(grounds)


def apart(one: Colour, other: Colour) -> float:
    """How far two colours are apart: the Euclidean distance, 0 to 442."""
    return math.dist(one, other)


def contrasting(source: random.Random, part: Part, *others: Colour, least: float = 80) -> Colour:
    """A colour of the part's palette that is `least` apart from each of the others."""
    fitting = [
        each for each in palette(part) if all(apart(each, other) >= least for other in others)
    ]
    return source.choice(fitting)


def near(source: random.Random, colour: Colour, low: float, high: float) -> Colour:
    """A colour between `low` and `high` apart from another one, in a random direction of the colour cube."""
    while True:
        way = [source.gauss(0, 1) for _ in range(3)]
        length = source.uniform(low, high) / math.hypot(*way)
        red, green, blue = (
            min(255, max(0, round(base + length * step)))
            for base, step in zip(colour, way, strict=True)
        )
        if low <= apart(colour, (red, green, blue)) <= high:
            return red, green, blue
