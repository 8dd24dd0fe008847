"""Reads pictures from files, whatever their format, and fits them to what a model takes.

A file comes from people: it may be cut off, turned by its camera, transparent, of 16 bits, or no image at all. What it
shows on a white page is what is learnt from; what cannot be read is an error that names the file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor


class Pictures(Protocol):
    """Pictures by number: those of a dataset before they are fitted to a model."""

    def name(self, index: int) -> str:
        """What the picture is called: printable."""
        ...

    def picture(self, index: int) -> Image.Image:
        """The picture, L or RGB. Raises ValueError, with its name, when it cannot be read."""
        ...


@dataclass(frozen=True)
class Files:
    """Pictures in files."""

    paths: list[str]

    def name(self, index: int) -> str:
        """The file's path."""
        return shown(self.paths[index])

    def picture(self, index: int) -> Image.Image:
        """The picture in the file."""
        return opened(self.paths[index])


def shown(path: str | Path) -> str:
    """A path for people; bytes of it that are not UTF-8 are written as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "JPEG2000", "AVIF")
"""What is read. Not all that Pillow knows: it would run Ghostscript on a file of PostScript, whatever its name."""


def opened(path: str | Path) -> Image.Image:
    """The picture in a file, as `plain` has it; of an animation the first frame.

    Raises ValueError, with the path, when there is none that can be read.
    """
    try:
        return decoded(path)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{shown(path)} is not a readable image: {reason(error)}") from error


def decoded(path: str | Path, most: int | None = None) -> Image.Image:
    """As `opened`, unless the picture has more than `most` pixels, which its header says.

    Raises whatever a broken file makes Pillow's readers stumble over; `reason` says it in words.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a device may do something
        raise ValueError("it is no file")
    # a pipe that has taken the file's place meanwhile does not make anybody wait
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if not status.st_size:
            raise ValueError("it is empty")
        with Image.open(file, formats=_formats()) as image:
            width, height = image.size
            if most is not None and width * height > most:
                raise ValueError(
                    f"it has {width}x{height} pixels, which are {width * height / 1e6:.1f} megapixels and more "
                    f"than {most / 1e6:g} (--max-megapixels)"
                )
            return plain(image)


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def reason(error: Exception) -> str:
    """Why a picture could not be read, in a few words."""
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels, and no such image is read"
    if isinstance(error, UnidentifiedImageError):
        return "no known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def plain(image: Image.Image) -> Image.Image:
    """An image as a person sees it: L or RGB of 8 bits, upright, on white where it is transparent.

    16 bits are reduced to 8. Raises ValueError for pixels that have no white, such as fractions.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _reduced(upright)
    if upright.mode == "F":
        raise ValueError("its pixels are fractions, without a white: save it with 8 or 16 bits")
    if upright.has_transparency_data:
        over = upright.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return upright.convert("L" if upright.mode in ("1", "L") else "RGB")


def _reduced(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("its pixels have more than 16 bits")
    return Image.fromarray((pixels // 257).astype(np.uint8))


def fitted(picture: Image.Image, channels: int, size: int, width: int | None = None) -> Tensor:
    """The centre square of a picture, resized to (channels, size, size), as bytes; `width` if that is another one."""
    width = size if width is None else width
    centre = ImageOps.fit(picture.convert("L" if channels == 1 else "RGB"), (width, size))
    pixels = np.asarray(centre).reshape(size, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
