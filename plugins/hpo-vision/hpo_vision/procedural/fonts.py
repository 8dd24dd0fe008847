"""The fonts of drawn text: those that matplotlib's wheel carries, for no font of the system is everywhere.

Text of the test part is set in fonts that no other part has.
"""

from __future__ import annotations

import functools
from importlib.metadata import distribution
from pathlib import Path

from PIL import ImageFont

from hpo_core import Part

SEEN = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSans-Oblique",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
    "STIXGeneralItalic",
    "cmb10",
    "cmr10",
)
"""For the parts train and val: sans, serif and a Computer Modern."""
UNSEEN = (
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "DejaVuSerif-Italic",
    "cmss10",
    "cmti10",
    "cmtt10",
)
"""For the part test."""


def of(part: Part) -> tuple[str, ...]:
    """The names of a part's fonts."""
    return UNSEEN if part == "test" else SEEN


@functools.lru_cache(maxsize=512)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the fonts above, `size` pixels to the em, laid out the same whatever else is installed."""
    return ImageFont.truetype(
        str(_folder() / f"{name}.ttf"), size, layout_engine=ImageFont.Layout.BASIC
    )


@functools.cache
def _folder() -> Path:
    """Where matplotlib keeps its fonts; found without the seconds that importing it takes."""
    return Path(str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf")))
