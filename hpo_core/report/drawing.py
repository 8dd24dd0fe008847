"""Figures: drawn once by matplotlib, written as SVG into the page and as PNG beside it.

In the SVG text stays text, so it can be searched and copied, and what was drawn for one trial says on hovering which
(`tip`): an SVG needs no script for that. A figure with thousands of marks has them as a picture inside (`DENSE`), or
the page would grow with the study.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

DENSE = 1500
"""Marks; more of them are drawn as a picture inside the SVG."""

WIDTH = 8.6  # inches
REMS = 7.3  # of the page's units for an inch at most: all figures then have letters of one size

BEST = "#c2410c"
STATES = {
    "complete": "#2563eb",
    "pruned": "#d4a017",
    "fail": "#b91c1c",
    "running": "#16a34a",
    "paused": "#7c3aed",
}
SOFT = "#94a3b8"
PALEST = 0.85  # of viridis: what comes then is a yellow that white paper swallows

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hpo",  # the same figure is the same text
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#64748b",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass
class Drawing:
    """A figure, what it shows in words, and what its marks say when they are pointed at.

    `name` is the PNG's, and begins the ids within the SVG. `tips` holds the texts of an artist's marks by its id.
    """

    name: str
    title: str
    figure: Any
    tips: dict[str, Sequence[str]] = field(default_factory=dict)

    def tip(self, artist: Any, *texts: str) -> None:
        """Have the marks of an artist say these texts: one each, or one for all."""
        key = f"tip{len(self.tips)}"
        artist.set_gid(key)
        self.tips[key] = texts


@contextmanager
def style() -> Iterator[None]:
    """What all figures look like: whatever draws or writes one does it within."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # a class may be called in a script that matplotlib's font lacks; the reader's browser has it
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(height: float, width: float = WIDTH) -> Any:
    """An empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def png(drawing: Drawing) -> bytes:
    """A drawing as PNG."""
    return _written(drawing.figure, "png")


def svg(drawing: Drawing) -> str:
    """A drawing as an SVG element to stand in HTML. It is made anew from parsed XML, so nothing in it is markup."""
    root = ElementTree.fromstring(_written(drawing.figure, "svg"))
    used = _used(root)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
        _rename(parent, drawing, used)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("style", f"max-width: {drawing.figure.get_figwidth() * REMS:.1f}rem")
    root.set("role", "img")
    root.set("aria-label", drawing.title)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def scale(axis: Any, values: Sequence[float]) -> None:
    """Make an axis (`axes.xaxis`, `axes.yaxis`) logarithmic where values span more than two decades."""
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if len(positive) < 2 or min(finite) < 0 or max(positive) < 100 * min(positive):
        return
    least = min(positive)
    linear = {"linthresh": least} if len(positive) < len(finite) else {}
    axis._set_axes_scale("symlog" if linear else "log", **linear)
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: "")


def colours(values: Sequence[float], maximizes: bool) -> Any:
    """What colours values: the best are dark. The worst tenth are all alike, or one bad trial would fade the others."""
    import numpy
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    low, high = numpy.quantile(values, [0.1, 1.0] if maximizes else [0.0, 0.9])
    shades = colormaps["viridis"](numpy.linspace(0, PALEST, 256))
    map_ = ListedColormap(shades[::-1] if maximizes else shades)
    mappable = ScalarMappable(Normalize(low, high, clip=True), map_)
    mappable.set_array(numpy.asarray(values))
    return mappable


def _written(figure: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, dpi=130, metadata=metadata)
    return buffer.getvalue()


def _used(root: ElementTree.Element) -> set[str]:
    """The ids that something within refers to."""
    found = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            found.update(_REFERENCE.findall(value))
            if name.endswith("href") and value.startswith("#"):
                found.add(value[1:])
    return found


def _rename(element: ElementTree.Element, drawing: Drawing, used: set[str]) -> None:
    """Have ids begin with the drawing's name, for they share a page with those of others; drop the rest of them."""
    for name, value in list(element.attrib.items()):
        element.attrib[name] = _REFERENCE.sub(rf"url(#{drawing.name}-\1)", value)
        if name.endswith("href") and value.startswith("#"):
            element.attrib[name] = f"#{drawing.name}-{value[1:]}"
    key = element.attrib.pop("id", None)
    if key in used:
        element.set("id", f"{drawing.name}-{key}")
    elif key in drawing.tips:
        _tell(element, drawing.tips[key])


def _tell(group: ElementTree.Element, texts: Sequence[str]) -> None:
    """Give the marks of an artist their titles: one for the whole of it, or one for each mark."""
    marks = [group] if len(texts) == 1 else list(_marks(group))
    if len(marks) != len(texts):
        return  # some lie outside the figure: rather no tips than wrong ones
    for mark, text in zip(marks, texts, strict=True):
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = "".join(char if char.isprintable() else "?" for char in text)
        mark.insert(0, title)


def _marks(group: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The shapes that are seen, in the order in which they were drawn."""
    for element in group:
        kind = element.tag.rpartition("}")[2]
        if kind in ("use", "path"):
            yield element
        elif kind == "g":
            yield from _marks(element)
