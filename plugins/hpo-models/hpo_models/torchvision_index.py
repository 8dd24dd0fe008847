"""What torchvision's models are called, which images they take and which options they read, in a file.

Asking torchvision takes seconds, and the file is read by every command. A line is `NAME LEAST MULTIPLE OPTION ...`:
images of at least LEAST pixels whose sides are multiples of MULTIPLE. After another version of torchvision was tested,
write the file anew, which measures all of that and takes minutes::

    uv run python -c "from hpo_models import torchvision_index; torchvision_index.write()"

A test compares it with the torchvision that is installed.
"""

from __future__ import annotations

import bisect
import functools
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import InputShape
from hpo_models.sizes import Sizes

INDEX = Path(__file__).with_name("torchvision_names.txt")
LARGEST = 224  # pixels: every model of torchvision takes these
CLASSES = 10


@dataclass(frozen=True)
class Line:
    """A model of torchvision: its name, the images that it takes, the options that it reads."""

    name: str
    sizes: Sizes
    options: tuple[str, ...]


@functools.cache
def lines() -> dict[str, Line]:
    """The models by name, sorted. Called when the plugin registers them."""
    found = {}
    for text in INDEX.read_text(encoding="utf-8").splitlines():
        name, least, multiple, *options = text.split()
        sizes = Sizes(int(least), int(multiple), square=name.startswith("vit_"))
        found[name] = Line(name, sizes, tuple(options))
    return found


def write() -> None:
    """Measure the models of the installed torchvision and write them down."""
    texts = [
        " ".join((name, *map(str, measured(name)), *options(name))) for name in installed_names()
    ]
    INDEX.write_text("\n".join(texts) + "\n", encoding="utf-8")


def installed_names() -> list[str]:
    """The names of the classification models that the installed torchvision has, sorted."""
    from torchvision import models

    return sorted(models.list_models(module=models))


def measured(name: str) -> tuple[int, int]:
    """The least side of square images that a model takes, and the step to the next: by trying, without numbers."""
    sides = range(1, LARGEST + 1)
    if _is_sized(name):
        # MaxViT rounds its maps up: 221 pixels would do as well as 224, and then 448 would be next
        sides = sides[31::32] if name.startswith("maxvit_") else sides
        least = next(side for side in sides if takes(name, side))
        return least, next(step for step in sides if takes(name, least + step))
    enough = next(side for side in (1, 32, 64, LARGEST) if takes(name, side))
    return bisect.bisect_left(sides, True, hi=enough - 1, key=lambda side: takes(name, side)) + 1, 1


def takes(name: str, side: int) -> bool:
    """Whether a batch of two square images goes through a model in training."""
    import torch

    try:
        model = _on_meta(name, side if _is_sized(name) else LARGEST)
        model.train()(torch.empty(2, 3, side, side, device="meta"))
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


def options(name: str) -> list[str]:
    """The options that a model reads."""
    from hpo_models.torchvision_models import OPTIONS

    known = inspect.signature(type(_on_meta(name, LARGEST))).parameters
    return [option for option in OPTIONS if option in known and _takes_option(name, option)]


def _takes_option(name: str, option: str) -> bool:
    """Whether the option gets past the function that builds a model; some of them set it themselves."""
    try:
        _on_meta(name, LARGEST, option)
    except ValueError:
        return False
    return True


def _is_sized(name: str) -> bool:
    """Whether a model is made for images of one size."""
    return name.startswith(("vit_", "maxvit_"))


@functools.lru_cache(maxsize=1)
def _on_meta(name: str, side: int, option: str | None = None) -> Any:
    """A model without numbers, for images of one size, with an option set."""
    import torch

    from hpo_models.torchvision_models import torchvision_model

    shape = InputShape(3, side, side, CLASSES)
    given: dict[str, Any] = {} if option is None else {option: 0.125}
    # RegNets compute their widths with tensors, so they cannot be built without numbers
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return torchvision_model(shape, architecture=name, **given).to("meta")
