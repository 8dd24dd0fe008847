"""Draws twenty kinds of shapes, and says which of them belong together."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

from PIL import Image

from hpo_core import Part
from hpo_vision.procedural.camera import taken
from hpo_vision.procedural.colours import contrasting, ground
from hpo_vision.procedural.silhouettes import (
    SMOOTH,
    Outline,
    Silhouette,
    circle,
    mask,
    regular,
    ring,
    star,
)


def _strokes(*corners: tuple[float, float]) -> Silhouette:
    return list(corners), None


def _arrow(source: random.Random) -> Silhouette:
    shaft, neck = source.uniform(0.2, 0.32), source.uniform(-0.15, 0.15)
    return _strokes(
        (0.95, 0), (neck, -0.7), (neck, -shaft), (-0.9, -shaft),
        (-0.9, shaft), (neck, shaft), (neck, 0.7),
    )  # fmt: skip


def _chevron(source: random.Random) -> Silhouette:
    depth = source.uniform(0.45, 0.7)
    return _strokes(
        (0.8, 0), (0.8 - depth, -0.8), (-0.1 - depth, -0.8),
        (-0.1, 0), (-0.1 - depth, 0.8), (0.8 - depth, 0.8),
    )  # fmt: skip


def _plus(source: random.Random) -> Silhouette:
    half = source.uniform(0.2, 0.35)
    quarter = [(half, -half), (half, -0.9), (-half, -0.9)]
    return [point for turn in range(4) for point in _turned(quarter, turn)], None


def _turned(points: Outline, quarters: int) -> Outline:
    for _ in range(quarters):
        points = [(y, -x) for x, y in points]
    return points


def _letter_h(source: random.Random) -> Silhouette:
    a = source.uniform(0.25, 0.35)
    return _strokes(
        (-0.7, -0.9), (-0.7 + a, -0.9), (-0.7 + a, -a / 2), (0.7 - a, -a / 2), (0.7 - a, -0.9), (0.7, -0.9),
        (0.7, 0.9), (0.7 - a, 0.9), (0.7 - a, a / 2), (-0.7 + a, a / 2), (-0.7 + a, 0.9), (-0.7, 0.9),
    )  # fmt: skip


def _letter_l(source: random.Random) -> Silhouette:
    a = source.uniform(0.3, 0.45)
    return _strokes(
        (-0.6, -0.9), (-0.6 + a, -0.9), (-0.6 + a, 0.9 - a), (0.6, 0.9 - a), (0.6, 0.9), (-0.6, 0.9)
    )


def _letter_t(source: random.Random) -> Silhouette:
    a = source.uniform(0.15, 0.22)
    return _strokes(
        (-0.8, -0.9), (0.8, -0.9), (0.8, -0.9 + 2 * a), (a, -0.9 + 2 * a),
        (a, 0.9), (-a, 0.9), (-a, -0.9 + 2 * a), (-0.8, -0.9 + 2 * a),
    )  # fmt: skip


def _crescent(source: random.Random) -> Silhouette:
    shift = source.uniform(0.35, 0.55)
    return regular(SMOOTH), [(shift + 0.85 * x, 0.85 * y) for x, y in regular(SMOOTH)]


def _half_circle(source: random.Random) -> Silhouette:
    steps = SMOOTH // 2
    return [
        (math.cos(math.pi * i / steps), 0.45 - math.sin(math.pi * i / steps))
        for i in range(steps + 1)
    ], None


def _heart(source: random.Random) -> Silhouette:
    angles = [math.tau * step / SMOOTH for step in range(SMOOTH)]
    return [
        (
            0.95 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17,
        )
        for t in angles
    ], None


def _regular(corners: int, turn: float = 0.0) -> Callable[[random.Random], Silhouette]:
    return lambda source: (regular(corners, turn), None)


def _star(points: int) -> Callable[[random.Random], Silhouette]:
    return lambda source: (star(points, source.uniform(0.4, 0.55)), None)


SHAPES: Mapping[str, Callable[[random.Random], Silhouette]] = {
    "arrow": _arrow,
    "chevron": _chevron,
    "circle": circle,
    "crescent": _crescent,
    "half-circle": _half_circle,
    "heart": _heart,
    "hexagon": _regular(6),
    "letter-h": _letter_h,
    "letter-l": _letter_l,
    "letter-t": _letter_t,
    "octagon": _regular(8, math.pi / 8),
    "pentagon": _regular(5),
    "plus": _plus,
    "ring": ring,
    "square": _regular(4, math.pi / 4),
    "star-4": _star(4),
    "star-5": _star(5),
    "star-6": _star(6),
    "star-8": _star(8),
    "triangle": _regular(3),
}
"""How each class is drawn, in the order of the labels."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "letters": ("letter-h", "letter-l", "letter-t"),
    "polygons": ("hexagon", "octagon", "pentagon", "square", "triangle"),
    "round": ("circle", "crescent", "half-circle", "heart", "ring"),
    "signs": ("arrow", "chevron", "plus"),
    "stars": ("star-4", "star-5", "star-6", "star-8"),
    "convex": ("circle", "half-circle", "hexagon", "octagon", "pentagon", "square", "triangle"),
}
"""The first five are a hierarchy: each class is in one of them. `convex` lies across it."""


def shape(source: random.Random, label: int, part: Part, size: int) -> Image.Image:
    """A shape of the class with that label (RGB, `size` x `size`), turned by up to 20 degrees."""
    behind = ground(source, part)
    canvas = Image.new("RGB", (2 * size, 2 * size), behind)
    silhouette = tuple(SHAPES.values())[label](source)
    drawn = mask(silhouette, 2 * size, (size, size), source.uniform(0.26, 0.42) * 2 * size)
    canvas.paste(contrasting(source, part, behind), mask=drawn)
    return taken(source, canvas, behind, turn=20)
