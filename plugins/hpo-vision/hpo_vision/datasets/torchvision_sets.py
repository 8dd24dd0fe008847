"""The datasets `torchvision/NAME`, `cifar10` and `cifar20`: torchvision's sets of classified images.

One factory for each row of `torchvision_table`, as an attribute of this module, made when it is first asked for. They
differ in what they load, and in whether there are variants to choose from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from hpo_core import Dataset
from hpo_vision.datasets import location
from hpo_vision.datasets.changes import always
from hpo_vision.datasets.options import (
    BatchSize,
    Channels,
    ImageSize,
    KeepInMemory,
    SamplerPower,
    SplitSeed,
    TestFraction,
    ValFraction,
)
from hpo_vision.datasets.torchvision_table import CIFAR20, SOURCES, Source

Root = Annotated[
    str,
    Field(min_length=1, description="Folder that torchvision keeps the set in, or is to keep it."),
]
Download = Annotated[
    bool, Field(description="Download the set into `root` where it is missing; false: never.")
]


def __getattr__(name: str) -> Callable[..., Dataset]:
    """The factory of the set that torchvision calls so."""
    if name not in _NAMED:
        raise AttributeError(name)
    return _factory(name)


@functools.cache
def _factory(name: str) -> Callable[..., Dataset]:
    return _offered(_NAMED[name], f"torchvision/{name}")


def _offered(source: Source, title: str) -> Callable[..., Dataset]:
    """The factory of a set. Its options are those below; `variant` is one only where there are several."""

    def build(
        seed: int,
        *,
        root: Root = "data",
        download: Download = False,
        variant: str = next(iter(source.variants)),
        image_size: ImageSize = 32,
        batch_size: BatchSize = 64,
        channels: Channels = 3,
        val_fraction: ValFraction = 0.15,
        test_fraction: TestFraction = 0.15,
        split_seed: SplitSeed = 0,
        keep_in_memory: KeepInMemory = True,
        sampler_power: SamplerPower = 0.0,
    ) -> Dataset:
        from hpo_vision.datasets._torchvision import find

        found, groups = find(
            title, source, variant, root, download, val_fraction, test_fraction, split_seed
        )
        return found.dataset(
            seed,
            image_size=image_size,
            batch_size=batch_size,
            channels=channels,
            keep_in_memory=keep_in_memory,
            sampler_power=sampler_power,
            groups=groups,
        )

    names = tuple(source.variants)
    build.__annotations__["variant"] = Annotated[
        Literal[names], Field(description="Which of the set's variants.")
    ]
    factory: Any = build if len(names) > 1 else functools.partial(build, variant=names[0])
    factory.__doc__ = _described(source)
    factory.changed_by = always(source.changes)
    factory.location = location.root
    return factory  # type: ignore[no-any-return]  # Any, for the attributes


def _described(source: Source) -> str:
    get = (
        "Downloaded into `root` with `download: true`."
        if source.downloads
        else "To be put into `root` by hand, for torchvision cannot download it."
    )
    about = source.about[0].upper() + source.about[1:]
    return f"""{about}: torchvision's {source.name}. {get}

Called by an objective once per trial; `seed` shuffles the training part. The classes keep torchvision's order. Which of
the set's own parts is which is said in `torchvision_table`; the fractions and `split_seed` divide where the set does
not. Raises FileNotFoundError, with the folder, when the set is not there or not whole, and ConnectionError when it
cannot be downloaded.
"""


_NAMED = {source.name: source for source in SOURCES}

cifar20 = _offered(CIFAR20, "cifar20")
