"""Files that are written for LEMUR: what they declare, read without running them, and what they hold, by importing.

::

    def supported_hyperparameters():
        return {'lr', 'momentum'}

    class Net(nn.Module):
        def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device): ...
        def forward(self, x): ...
        def train_setup(self, prm): ...     # makes loss, optimizer, scheduler
        def learn(self, train_data): ...    # one epoch over batches of (images, labels)

`in_shape` is (N, channels, height, width), `out_shape` (classes,).
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_core import HpoError

DECLARATION = "supported_hyperparameters"
ADDED = frozenset({"batch", "epoch", "epoch_max", "transform"})
"""What whoever trains puts into `prm`, whether a file declares it or not."""


@dataclass(frozen=True)
class LemurFile:
    """A file that has been imported. `hyperparameters` are those that it declares, without `ADDED`."""

    path: Path
    network: Any  # the class Net
    hyperparameters: frozenset[str]

    def check(self, prm: Mapping[str, float]) -> None:
        """Raise HpoError unless `prm` is what the file declares: neither less nor more."""
        for name in prm:
            if name in ADDED:
                raise HpoError(f"prm.{name}: '{name}' comes from the study: leave it out")
            if name not in self.hyperparameters:
                raise HpoError(
                    f"prm.{name}: {self.path.name} has no hyperparameter '{name}'"
                    f"{_meant(name, self.hyperparameters - prm.keys())}"
                )
        missing = sorted(self.hyperparameters - prm.keys())
        if missing:
            raise HpoError(f"prm: {self.path.name} also wants {', '.join(missing)}")


def found(file: str, folders: Iterable[str]) -> Path:
    """The path of a file in the first folder that has it. Raises HpoError."""
    tried = [Path(folder, file) for folder in folders]
    for path in tried:
        if path.is_file():
            return path.resolve()
    beside = [each.name for path in tried for each in path.parent.glob("*.py")]
    places = ", ".join(dict.fromkeys(str(path.parent) for path in tried))
    raise HpoError(f"there is no file '{Path(file).name}' in {places}{_meant(file, beside)}")


@contextmanager
def opened(file: str, folders: list[str]) -> Iterator[LemurFile]:
    """Import a file, which runs it, and forget it afterwards: another trial may find it changed.

    While the context lasts it imports from its own folder and from `folders` too. Raises HpoError for a file that is
    not there or not LEMUR's, and whatever it raises itself.
    """
    path = found(file, folders)
    name = f"lemur_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HpoError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    own = list(dict.fromkeys([str(path.parent), *folders]))
    sys.path[:0] = own
    sys.modules[name] = module  # dataclasses and annotations look there
    try:
        spec.loader.exec_module(module)
        yield LemurFile(path, _network(path, module), _hyperparameters(path, module))
    finally:
        sys.modules.pop(name, None)
        for folder in own:
            if folder in sys.path:  # the file may have changed the path itself
                sys.path.remove(folder)


def declared(path: Path) -> frozenset[str] | None:
    """The hyperparameters that a file declares, without running it; None where it computes them.

    Raises HpoError when the file cannot be read or declares nothing.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise HpoError(f"{path}: there is no such file") from error
    except OSError as error:
        raise HpoError(f"{path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise HpoError(f"{path} is no Python: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == DECLARATION:
            return _literal(path, node)
    raise HpoError(f"{path.name} is no network for LEMUR: it has no {DECLARATION}()")


def _literal(path: Path, function: ast.FunctionDef) -> frozenset[str] | None:
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    try:
        [value] = returned
        return _names(path, ast.literal_eval(value))  # type: ignore[arg-type]  # None is refused too
    except (ValueError, TypeError):
        return None


def _network(path: Path, module: Any) -> Any:
    network = getattr(module, "Net", None)
    lacking = [name for name in ("train_setup", "learn") if not hasattr(network, name)]
    if not isinstance(network, type) or lacking:
        what = f"its Net has no {lacking[0]}()" if network is not None else "it has no class Net"
        raise HpoError(f"{path.name} is no network for LEMUR: {what}")
    return network


def _hyperparameters(path: Path, module: Any) -> frozenset[str]:
    function = getattr(module, DECLARATION, None)
    if not callable(function):
        raise HpoError(f"{path.name} is no network for LEMUR: it has no {DECLARATION}()")
    return _names(path, function())


def _names(path: Path, value: Any) -> frozenset[str]:
    """Files return sets, lists, and mappings of defaults."""
    if not isinstance(value, set | frozenset | list | tuple | dict) or not all(
        isinstance(name, str) for name in value
    ):
        raise HpoError(f"{path.name}: {DECLARATION}() gives no set of names: {value!r}")
    return frozenset(value) - ADDED


def _meant(word: str, known: Iterable[str]) -> str:
    """` - did you mean 'that'?`, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" - did you mean '{close[0]}'?" if close else ""
