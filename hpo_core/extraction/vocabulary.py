"""The names that a text may mean: those of the installed plugins, however they are spelled.

`ResNet-18`, `resnet_18` and `resnet18` are one name, and so are `StepLR` and `step`.
"""

from __future__ import annotations

import re

from hpo_core.catalog import Catalog
from hpo_core.errors import nearest

MOST_WORDS = 3

_IGNORED = re.compile(r"[-_ .]")
_CLASS = re.compile(r"\w+(?:LR|Restarts|Plateau)")
_ONE_CYCLE = re.compile(r"1(?:-?cycle(?:LR)?| cycle policy)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Vocabulary:
    """The names of one kind of components."""

    def __init__(self, catalog: Catalog, kind: str) -> None:
        self._names = catalog.names(kind)
        self._offered = set(self._names)
        self._known: dict[str, str] = {}
        tiers = {name: tier for tier, names in catalog.tiers(kind).items() for name in names}
        ranked = sorted(self._names, key=lambda n: (tiers.get(n, 99), "/" in n, not n.islower(), n))
        for name in ranked:
            self._known.setdefault(_plain(name), name)
        for (
            name
        ) in ranked:  # `CIFAR-100` means torchvision/CIFAR100 where nothing else is called so
            self._known.setdefault(_plain(name.rpartition("/")[2]), name)
        self._by_words = {frozenset(_words(name)): name for name in reversed(ranked)}
        self._loosely = kind == "lr_schedulers"

    def name(self, written: str, *, in_prose: bool = False) -> str | None:
        """The name that is meant, or None. `torch.optim.SGD` may be meant by its last part."""
        if written in self._offered:
            return written
        if self._loosely and _ONE_CYCLE.fullmatch(written):
            return self._known.get("onecycle")
        for part in (written, written.rpartition(".")[2]):
            if (found := self._known.get(_plain(part))) is not None:
                return found
        last = written.rpartition(".")[2]
        class_of = self._loosely and (not in_prose or _CLASS.fullmatch(last))
        return self._class(last) if class_of else None

    def closest(self, phrase: str, telling: str) -> str | None:
        """The name with the word `telling` that has most words of a phrase and fewest others, or None."""
        words = set(_words(phrase)) | {telling}
        fits = [each for each in self._by_words if telling in each]
        best = min(fits, key=lambda each: (-len(each & words), len(each - words)), default=None)
        return None if best is None else self._by_words[best]

    def nearest(self, written: str) -> str | None:
        """The name that was probably meant by one that is not known."""
        return nearest(written, self._names)

    def _class(self, written: str) -> str | None:
        """What torch's class of LR schedulers is here: the name with most words among those of the class's name.

        `CosineAnnealingWarmRestarts` is `cosine-restarts` and `ReduceLROnPlateau` is `plateau`.
        """
        if (found := self._known.get(_plain(written).removesuffix("lr"))) is not None:
            return found
        words = set(_words(written))
        fits = [each for each in self._by_words if each and each <= words]
        best = max(fits, key=lambda each: (len(each), sorted(each)), default=None)
        return None if best is None else self._by_words[best]


def _plain(name: str) -> str:
    return _IGNORED.sub("", name).lower()


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]
