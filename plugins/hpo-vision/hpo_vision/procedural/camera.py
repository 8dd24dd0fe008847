"""What happens to every picture alike, whatever its class: it is turned, moved, reduced, and comes with noise and JPEG.

As all classes get the same of it, none of it tells them apart.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image

from hpo_vision.procedural.chance import noise
from hpo_vision.procedural.colours import Colour


def taken(
    source: random.Random, picture: Image.Image, ground: Colour, turn: float = 8.0
) -> Image.Image:
    """A picture (RGB) of twice the size, as a camera and a web page leave it.

    Turned by up to `turn` degrees and moved by up to 6 % with `ground` around it, halved, noise of a standard deviation
    of 0 to 10, JPEG of quality 30 to 95.
    """
    reach = 0.06 * picture.width
    moved = picture.rotate(
        source.uniform(-turn, turn),
        Image.Resampling.BILINEAR,
        translate=(round(source.uniform(-reach, reach)), round(source.uniform(-reach, reach))),
        fillcolor=ground,
    )
    return compressed(noisy(source, moved.reduce(2), source.uniform(0, 10)), source.randint(30, 95))


def noisy(source: random.Random, picture: Image.Image, sigma: float) -> Image.Image:
    """The picture with normal noise in each channel."""
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray(
        (pixels + noise(source, pixels.shape, sigma)).round().clip(0, 255).astype(np.uint8)
    )


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    """The picture after a JPEG of that quality."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
