"""What was counted and measured before, in a file of the user's cache folder.

Counting all models takes a minute and gives the same each time; so figures are kept under a key of everything that they
follow from, the libraries' versions included, and a latency under one of the machine as well. A file that cannot be
read is worth nothing and replaced. Two processes at once may lose figures of one of them, which are then counted again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "HPO_CACHE_DIR"
"""The environment variable that names another folder."""

_LIBRARIES = ("torch", "torchvision", "timm", "pytorchcv", "peft")


class FiguresCache:
    """Figures by key. `warn` is called, once, with the reason why the file is of no use, if it is."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._writable = True
        self._known = self._read()

    def get(self, key: str) -> dict[str, Any] | None:
        """What is known under a key."""
        return self._known.get(key)

    def put(self, key: str, figures: dict[str, Any]) -> None:
        """Keep figures, in the file too where it can be written: it is there whole or as it was."""
        self._known[key] = figures
        if not self._writable:
            return
        try:
            self._write()
        except OSError as error:
            self._writable = False
            self._warn(f"figures are not kept: {error}")

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        os.replace(partial, self.path)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            return self._useless(str(error))
        if not isinstance(known, dict) or not all(
            isinstance(each, dict) for each in known.values()
        ):
            return self._useless("it does not hold figures by key")
        return known

    def _useless(self, why: str) -> dict[str, dict[str, Any]]:
        self._warn(f"the cache {self.path} is of no use and will be written anew: {why}")
        return {}


def default_path() -> Path:
    """`models.json` in the user's cache folder of `hpo`, or in the one that `HPO_CACHE_DIR` names."""
    from platformdirs import user_cache_path

    folder = os.environ.get(VARIABLE)
    return (Path(folder) if folder else user_cache_path("hpo", appauthor=False)) / "models.json"


def key(**parts: Any) -> str:
    """A short name of what figures follow from: `parts`, and the versions of libraries and of plugins."""
    text = json.dumps({**parts, "versions": versions()}, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def versions() -> Mapping[str, str]:
    """The versions of what builds models here, by distribution."""
    plugins = (point.dist for point in importlib.metadata.entry_points(group="hpo"))
    found = {each.name: each.version for each in plugins if each is not None}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def machine() -> list[str | int | None]:
    """The processor, as far as it says what it is, how many of it there are, and how many may be used at once."""
    limits = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    return [_processor(), os.cpu_count(), *limits]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
