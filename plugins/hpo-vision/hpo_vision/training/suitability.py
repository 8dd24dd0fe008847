"""Which augmentations a dataset bears: one that changes what an image shows makes its label wrong.

Both say so themselves, in attributes of their factories (`hpo_core.contracts`): an augmentation the `operations` it
does, a dataset those that it is `changed_by`. A study file is refused where they meet in any of the trials that it
could ask for, and so is a trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hpo_core import Component

Path = tuple[str | int, ...]
Trait = Callable[[str, str, str], Any]

MOST = 1024
"""Settings of one component that are looked at."""


def check(tree: Mapping[str, Any], trait: Trait) -> Iterator[tuple[Path, str]]:
    """What is wrong with an objective's options: called when a study file is checked (`hpo_core.contracts`)."""
    datasets = [(data["name"], _settings(data)) for _, data in _components(tree["dataset"])]
    for place, augmentation in _components(tree["augmentation"], ("augmentation",)):
        operations = trait("augmentations", augmentation["name"], "operations")
        for name, options in datasets:
            changed_by = trait("datasets", name, "changed_by")
            wrong = _collisions(operations, _settings(augmentation), changed_by, options)
            if wrong:
                yield (
                    place,
                    _complaint(augmentation["name"], name, wrong, "without" in augmentation),
                )


def refuse(dataset: Component, augmentation: Component, built: Any) -> None:
    """Raise ValueError when a trial's augmentation, or a member of it, changes labels. `built` is what it built."""
    for member, inner in getattr(built, "members", ()):
        refuse(dataset, member, inner)
    wrong = _collisions(
        augmentation.trait("operations", None),
        [augmentation.options],
        dataset.trait("changed_by", None),
        [dataset.options],
    )
    if wrong:
        raise ValueError(
            _complaint(augmentation.name, dataset.name, wrong, "without" in augmentation.options)
        )


def _collisions(
    operations: Any, options: list[Any], changed_by: Any, of_data: list[Any]
) -> dict[str, str]:
    """The operations that change labels, with the reasons, for some of the options that each side may have."""
    if operations is None or changed_by is None:
        return {}
    reasons = {name: why for each in of_data for name, why in changed_by(each).items()}
    done = dict.fromkeys(name for each in options for name in operations(each))
    return {name: reasons[name] for name in done if name in reasons}


def _complaint(augmentation: str, dataset: str, wrong: dict[str, str], optional: bool) -> str:
    reasons = "; ".join(f"{name}: {why}" for name, why in wrong.items())
    advice = f"set `without: [{', '.join(wrong)}]`" if optional else "take another augmentation"
    return (
        f"the augmentation '{augmentation}' changes labels of the dataset '{dataset}' "
        f"({reasons}): {advice}"
    )


def _components(tree: Any, place: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The components that a tree may stand for, with their places, and those in their lists."""
    if "choice" in tree:
        for index, alternative in enumerate(tree["choice"]):
            yield from _components(alternative, (*place, "choice", index))
    elif "name" in tree:
        yield place, tree
        for option, value in tree.items():
            for index, item in enumerate(value if isinstance(value, list) else ()):
                if isinstance(item, Mapping):
                    yield from _components(item, (*place, option, index))


def _settings(tree: Any) -> list[Any]:
    """The values that a tree may stand for, with both ends of each range; of very many the first ones."""
    if isinstance(tree, list):
        return [list(row) for row in _rows(tree)]
    if not isinstance(tree, Mapping):
        return [tree]
    for kind in ("choice", "float", "int"):
        if kind in tree and "name" not in tree:
            return [value for item in tree[kind] for value in _settings(item)]
    return [dict(zip(tree, row, strict=True)) for row in _rows(tree.values())]


def _rows(columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    return itertools.islice(itertools.product(*map(_settings, columns)), MOST)
