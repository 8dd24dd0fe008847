"""The code that a study names as `module:function`, and the modules beside it that this code imports.

Found without running any of it: the syntax tree names what is imported. Modules that are not beside the study file are
taken to be installed on the cluster. What is imported by a computed name, and data, is packed with `--working-dir`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpo_core.commands import UsageError

_CALL = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def named(tree: Any, folders: list[Path]) -> list[str]:
    """The modules that `tree`, a study's objective, names as `module:function` and that are in one of `folders`."""
    modules = {text.partition(":")[0] for text in _strings(tree) if _CALL.fullmatch(text)}
    return sorted(module for module in modules if _find(module, folders))


def closure(modules: list[str], folders: list[Path]) -> dict[str, Path]:
    """The files of `modules` and of all that they import from `folders`: place in the package -> file.

    Raises UsageError for a file that lies outside or is no Python.
    """
    files: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for place, file in _find(module, folders):
            if place not in files:
                files[place] = file
                waiting += _imports(file, place)
    return files


def _strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from _strings(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _strings(item)


def _find(module: str, folders: list[Path]) -> list[tuple[str, Path]]:
    """The file of a module with the `__init__` files around it, from the first folder that has it."""
    parts = module.split(".")
    for folder in folders:
        stem = Path(*parts)
        for place in (stem.with_suffix(".py"), stem / "__init__.py"):
            if (folder / place).is_file():
                around = [parent / "__init__.py" for parent in stem.parents if parent.parts]
                found = [place, *(init for init in around if (folder / init).is_file())]
                return [(each.as_posix(), _inside(folder, each)) for each in found]
    return []


def _inside(folder: Path, place: Path) -> Path:
    file = folder / place
    if not file.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{file} is a link to {file.resolve()}, outside of {folder}: nothing outside is packed"
        )
    return file


def _imports(file: Path, place: str) -> Iterator[str]:
    """The names of all modules that a file may import, wherever it does."""
    package = list(Path(place).parent.parts)
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{file} is no Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ([base] if base else [])
            yield from (".".join(filter(None, [base, alias.name])) for alias in node.names)
