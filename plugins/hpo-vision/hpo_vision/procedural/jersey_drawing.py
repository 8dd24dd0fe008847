"""Draws crops of players' backs as broadcasts show them: cloth, a number, a hurried camera and a poor signal."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from hpo_vision.procedural import fonts
from hpo_vision.procedural.camera import noisy
from hpo_vision.procedural.chance import noise
from hpo_vision.procedural.colours import Colour, apart

SIDE = 96
"""Height and width of a crop, in pixels."""

COLOURS: dict[str, Colour] = {
    "black": (24, 24, 28),
    "blue": (28, 70, 180),
    "gold": (222, 180, 60),
    "green": (16, 110, 60),
    "grey": (130, 134, 140),
    "maroon": (110, 20, 40),
    "navy": (18, 28, 70),
    "orange": (236, 110, 30),
    "purple": (84, 40, 130),
    "red": (200, 28, 40),
    "sky": (120, 180, 230),
    "white": (240, 240, 240),
    "yellow": (250, 220, 50),
}

TEAMS = (
    ("white", "navy", "red"),
    ("navy", "white", "gold"),
    ("red", "white", "black"),
    ("black", "orange", "white"),
    ("green", "yellow", "white"),
    ("purple", "gold", "white"),
    ("sky", "navy", "white"),
    ("orange", "blue", "white"),
    ("maroon", "grey", "white"),
    ("yellow", "blue", "black"),
    ("grey", "red", "black"),
)
"""Eleven palettes: the cloth, the number and its border."""

READABLE = 150
"""A number whose colour is nearer to the cloth's than this has a border, whatever the dice say."""

FONTS = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneralBol", "cmb10")


@dataclass(frozen=True)
class Crop:
    """A picture (RGB, 96x96), how it is to be compressed, and what is known about it."""

    picture: Image.Image
    quality: int
    metadata: dict[str, str | None]


def crop(source: random.Random, number: str) -> Crop:
    """A crop that shows this number, or, for "", one on which nobody could read any."""
    cloth, ink, border = source.choice(TEAMS)
    if source.random() < 0.5 and number:  # the away kit
        cloth, ink = ink, cloth
    bordered = source.random() < 0.5 or apart(COLOURS[cloth], COLOURS[ink]) < READABLE
    hidden = "" if number else source.choice(("blank", "covered", "blurred"))
    shown = number or (str(source.randint(0, 99)) if hidden != "blank" else "")
    picture = _cloth(source, COLOURS[cloth])
    _write(source, picture, shown, COLOURS[ink], COLOURS[border] if bordered else None)
    if hidden == "covered":
        _cover(source, picture)
    picture = _folded(source, _seen_askew(source, picture, COLOURS[cloth]))
    metadata = {
        "jersey_color": cloth,
        "number_color": ink if shown else None,
        "border": border if bordered and shown else None,
    }
    least, most = (0.03, 0.05) if hidden == "blurred" else (0.2, 0.6)
    return Crop(_broadcast(source, picture, least, most), source.randint(10, 60), metadata)


def _cloth(source: random.Random, colour: Colour) -> Image.Image:
    """Plain cloth, with stripes or with sleeves of another shade."""
    picture = Image.new("RGB", (SIDE, SIDE), colour)
    shade = tuple(round(level * source.uniform(0.7, 0.9)) for level in colour)
    pen = ImageDraw.Draw(picture)
    pattern = source.choice(("plain", "plain", "sleeves", "pinstripes"))
    if pattern == "sleeves":
        width = source.randint(8, 16)
        pen.rectangle((0, 0, width, SIDE), shade)
        pen.rectangle((SIDE - width, 0, SIDE, SIDE), shade)
    elif pattern == "pinstripes":
        for across in range(source.randint(0, 8), SIDE, source.randint(9, 14)):
            pen.line((across, 0, across, SIDE), shade)
    return picture


def _write(
    source: random.Random, picture: Image.Image, number: str, ink: Colour, border: Colour | None
) -> None:
    """The number near the middle, 38 to 62 pixels high, narrow as on jerseys."""
    if not number:
        return
    font = fonts.font(source.choice(FONTS), 100)
    edge = 8 if border else 0
    left, top, right, bottom = font.getbbox(number, stroke_width=edge, anchor="mm")
    box = math.ceil(right - left), math.ceil(bottom - top)
    middle = -left, -top
    inner, outer = Image.new("L", box), Image.new("L", box)
    ImageDraw.Draw(outer).text(middle, number, 255, font, anchor="mm", stroke_width=edge)
    ImageDraw.Draw(inner).text(middle, number, 255, font, anchor="mm")
    height = source.uniform(38, 62)
    width = min(SIDE * 0.85, height * box[0] / box[1] * source.uniform(0.75, 1.05))
    size = round(width), round(height)
    corner = (
        round((SIDE - size[0]) / 2 + source.uniform(-6, 6)),
        round((SIDE - size[1]) / 2 + source.uniform(-8, 8)),
    )
    if border:
        picture.paste(border, corner, outer.resize(size))
    picture.paste(ink, corner, inner.resize(size))


def _cover(source: random.Random, picture: Image.Image) -> None:
    """Somebody's arm or shoulder over most of the number."""
    skin = source.choice(((224, 172, 140), (150, 100, 70), (90, 60, 44), (40, 40, 46)))
    tilt, middle = source.uniform(-16, 16), SIDE / 2 + source.uniform(-6, 6)
    half = source.uniform(34, 44)
    ends = (middle - half + tilt, middle + half + tilt, middle + half - tilt, middle - half - tilt)
    if source.random() < 0.5:
        corners = [(0.0, ends[0]), (0.0, ends[1]), (SIDE, ends[2]), (SIDE, ends[3])]
    else:
        corners = [(ends[0], 0.0), (ends[1], 0.0), (ends[2], SIDE), (ends[3], SIDE)]
    ImageDraw.Draw(picture).polygon(corners, skin)


def _seen_askew(source: random.Random, picture: Image.Image, cloth: Colour) -> Image.Image:
    """Turned by up to ten degrees, and each corner moved by up to eight percent (a perspective)."""
    angle, reach = math.radians(source.uniform(-10, 10)), 0.08 * SIDE
    half = SIDE / 2
    corners: list[float] = []
    for across, down in ((-half, -half), (-half, half), (half, half), (half, -half)):
        corners.append(
            half + across * math.cos(angle) - down * math.sin(angle) + source.uniform(-reach, reach)
        )
        corners.append(
            half + across * math.sin(angle) + down * math.cos(angle) + source.uniform(-reach, reach)
        )
    return picture.transform(
        (SIDE, SIDE), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR, fillcolor=cloth
    )


def _folded(source: random.Random, picture: Image.Image) -> Image.Image:
    """The cloth's folds, as light and shade, and its weave."""
    angle, wave = source.uniform(0, math.tau), source.uniform(18, 60)
    down, across = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    phase = (across * math.cos(angle) + down * math.sin(angle)) / wave * math.tau
    light = 1 + source.uniform(0.03, 0.18) * np.sin(phase + source.uniform(0, math.tau))
    weave = noise(source, (SIDE, SIDE), source.uniform(2, 8))
    pixels = np.asarray(picture, np.float32) * light[..., None] + weave[..., None]
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _broadcast(
    source: random.Random, picture: Image.Image, least: float, most: float
) -> Image.Image:
    """As few pixels as that share of a side has, blown up again, and noise."""
    side = max(2, round(SIDE * source.uniform(least, most)))
    small = picture.resize((side, side), Image.Resampling.BOX)
    return noisy(
        source, small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), source.uniform(5, 30)
    )
