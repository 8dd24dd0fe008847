"""Groups of classes by name, such as `vehicles`: given in a study file, or by a file that says what each class is.

Metrics are told by group as well as by class; groups may overlap, and classes may be in none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

Groups = Mapping[str, tuple[str, ...]]


def grouped(
    classes: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    hierarchy: str | None = None,
) -> Groups:
    """The groups of a dataset with these classes: those of `groups`, and those of the file `hierarchy`.

    Called by datasets of people's own images. Raises ValueError for a class that there is not, with the nearest one
    that there is, for an empty group, and for a name given twice; and OSError for a file that cannot be read.
    """
    found = {name: _members(f"group '{name}'", names, classes) for name, names in groups.items()}
    if hierarchy is None:
        return found
    coarse = read_hierarchy(Path(hierarchy).expanduser())
    place = f"hierarchy {hierarchy}"
    _members(place, list(coarse), classes)
    for name in sorted({name for names in coarse.values() for name in names}):
        if name in found:
            raise ValueError(f"{place}: group '{name}' stands among `groups` too")
        found[name] = tuple(each for each in classes if name in coarse.get(each, ()))
    return found


def read_hierarchy(path: Path) -> dict[str, tuple[str, ...]]:
    """What each class is, by a file (YAML, or JSON by its name's end) of `fine: coarse` or `fine: [coarse, coarser]`.

    Raises ValueError, with the file's name, for anything else.
    """
    import yaml

    text = path.read_bytes()
    try:
        tree = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"hierarchy {path}: {error}") from error
    if not isinstance(tree, dict) or not tree:
        raise ValueError(f"hierarchy {path}: it must map each class to what it is: `cat: animals`")
    return {_text(path, fine): _coarse(path, fine, coarse) for fine, coarse in tree.items()}


def _coarse(path: Path, fine: Any, coarse: Any) -> tuple[str, ...]:
    names = coarse if isinstance(coarse, list) else [coarse]
    return tuple(_text(path, name, f" of '{fine}'") for name in names)


def _text(path: Path, name: Any, of: str = "") -> str:
    if not isinstance(name, str):
        raise ValueError(f"hierarchy {path}: {name!r}{of} is no text: put it in quotes")
    return name


def _members(place: str, names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Some classes, in the order of the labels."""
    if not names:
        raise ValueError(f"{place} has no class")
    for name in names:
        if name not in classes:
            near = get_close_matches(name, classes, 1)
            hint = f" - did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"{place}: there is no class '{name}'{hint}")
    return tuple(each for each in classes if each in names)
