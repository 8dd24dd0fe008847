"""Plugins that are switched off, by a study (`plugins: {disable: [hpo-ray]}`) or by an `hpo.toml`::

    [plugins]
    disable = ["hpo-ray"]  # the name of a plugin, or of the distribution that it comes with

The file is looked for beside the study file, then in the working directory; the first that is there counts. What a
plugin that is switched off offers does not exist for the study, and whoever asks for it is told where that was said
(`hpo_core.catalog`). Nothing else is a switch: a feature is a plugin.

Workers need not be told. They know more names than the study does, which harms nothing: it names what it uses, and in
full where a plugin that is switched off offers the same name (`Catalog.full_name`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo_core.catalog import Catalog
from hpo_core.errors import LINE_BREAK, Problem, StudyFileError, nearest

FILE = "hpo.toml"

Switches = dict[str, str]
"""What is switched off, a plugin or a distribution, and where that was said: `hpo.toml:3`."""


def file_in(*folders: Path) -> Path | None:
    """The first `hpo.toml` in the folders."""
    return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def of_file(catalog: Catalog, *folders: Path) -> Switches:
    """Those of the first `hpo.toml` in the folders. Raises StudyFileError with every problem of it."""
    path = file_in(*folders)
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except (ValueError, OSError) as error:  # no TOML, or no UTF-8
        raise StudyFileError(str(path), [Problem("", str(error), 1, 1)]) from None
    problems = list(_problems(tree, text, catalog))
    if problems:
        raise StudyFileError(str(path), problems, text)
    names = tree.get("plugins", {}).get("disable", [])
    return {name: f"{path}:{_place(text, name)[0]}" for name in names}


def unknown(name: str, catalog: Catalog) -> tuple[str, str | None] | None:
    """What is wrong with switching `name` off, and what was probably meant; None: it is installed."""
    known = {word for plugin in catalog.plugins for word in plugin}
    if name in known:
        return None
    return f"no plugin is called '{name}'", nearest(name, known)


def _problems(tree: Mapping[str, Any], text: str, catalog: Catalog) -> Iterator[Problem]:
    for key in tree:
        if key != "plugins":
            yield _problem(text, key, key, "unknown key", nearest(key, ["plugins"]))
    section = tree.get("plugins", {})
    if not isinstance(section, Mapping):
        yield _problem(text, "plugins", "plugins", "plugins is a table: [plugins]")
        return
    for key in section:
        if key != "disable":
            yield _problem(text, key, f"plugins.{key}", "unknown key", nearest(key, ["disable"]))
    names = section.get("disable", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield _problem(text, "disable", "plugins.disable", "disable is a list of plugins' names")
        return
    for index, name in enumerate(names):
        if (wrong := unknown(name, catalog)) is not None:
            yield _problem(text, name, f"plugins.disable.{index}", *wrong)


def _problem(
    text: str, word: str, path: str, message: str, suggestion: str | None = None
) -> Problem:
    return Problem(path, message, *_place(text, word), suggestion)


def _place(text: str, word: str) -> tuple[int, int]:
    """Line and column of a word outside comments, for TOML's parser does not tell; the first where it stands twice."""
    for number, line in enumerate(LINE_BREAK.split(text), start=1):
        column = line.partition("#")[0].find(word)
        if column >= 0:
            return number, column + 1
    return 1, 1
