"""Outlines to draw: points around the origin, at most 1 away from it, and masks of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw

Point = tuple[float, float]
Outline = list[Point]

SMOOTH = 48
"""Corners of what is meant to be round."""


def regular(corners: int, turn: float = 0.0) -> Outline:
    """A regular polygon with a corner on top, turned by `turn` radians."""
    return [_polar(1.0, turn + math.tau * corner / corners) for corner in range(corners)]


def star(points: int, inner: float, turn: float = 0.0) -> Outline:
    """A star whose inner corners are `inner` away from the middle."""
    return [
        _polar(inner if corner % 2 else 1.0, turn + math.pi * corner / points)
        for corner in range(2 * points)
    ]


def rounded(width: float, height: float, radius: float) -> Outline:
    """A rectangle with rounded corners; half of its sides are `width` and `height` long."""
    centres = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    outline: Outline = []
    for quarter, (right, down) in enumerate(centres):
        for step in range(SMOOTH // 4):
            angle = math.pi / 2 * (quarter + step / (SMOOTH // 4 - 1))
            across = right * (width - radius) + radius * math.cos(angle)
            outline.append((across, down * (height - radius) + radius * math.sin(angle)))
    return outline


def _polar(radius: float, angle: float) -> Point:
    return radius * math.sin(angle), -radius * math.cos(angle)


Silhouette = tuple[Outline, Outline | None]
"""What is filled, and what is cut out of it."""


def circle(_: random.Random) -> Silhouette:
    """A disc."""
    return regular(SMOOTH), None


def rectangle(source: random.Random) -> Silhouette:
    """A rounded rectangle, lying, standing or square."""
    width, height = source.uniform(0.55, 0.9), source.uniform(0.55, 0.9)
    return rounded(width, height, source.uniform(0.05, 0.5) * min(width, height)), None


def polygon(source: random.Random) -> Silhouette:
    """A regular polygon of five to eight corners."""
    return regular(source.randint(5, 8), source.uniform(0, math.tau)), None


def any_star(source: random.Random) -> Silhouette:
    """A star of four to eight points."""
    return star(source.randint(4, 8), source.uniform(0.35, 0.65), source.uniform(0, 1)), None


def ring(source: random.Random) -> Silhouette:
    """A disc with a hole."""
    hole = source.uniform(0.4, 0.75)
    return regular(SMOOTH), [(hole * x, hole * y) for x, y in regular(SMOOTH)]


def triangle(source: random.Random) -> Silhouette:
    """A triangle, pointing anywhere."""
    return regular(3, source.uniform(0, math.tau)), None


FLAT: Mapping[str, Callable[[random.Random], Silhouette]] = {
    "circle": circle,
    "rectangle": rectangle,
    "polygon": polygon,
    "star": any_star,
    "ring": ring,
    "triangle": triangle,
}
"""The shapes that logos are made of."""


def any_flat(source: random.Random) -> Silhouette:
    """One of these shapes."""
    return FLAT[source.choice(tuple(FLAT))](source)


def mask(silhouette: Silhouette, side: int, centre: Point, radius: float) -> Image.Image:
    """A silhouette as a mask (L, `side` x `side`), `radius` pixels large around `centre`."""
    drawn = Image.new("L", (side, side))
    pen = ImageDraw.Draw(drawn)
    for outline, level in zip(silhouette, (255, 0), strict=True):
        if outline:
            pen.polygon(
                [(centre[0] + radius * x, centre[1] + radius * y) for x, y in outline], level
            )
    return drawn
