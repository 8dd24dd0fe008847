"""Files that are written for LEMUR: where they are found, and what they hold, by importing them.

::

    def supported_hyperparameters():
        return {'lr', 'momentum'}

    class Net(nn.Module):
        def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device): ...
        def forward(self, x): ...
        def train_setup(self, prm): ...     # makes loss, optimizer, scheduler
        def learn(self, train_data): ...    # one epoch over batches of (images, labels)

`in_shape` is (N, channels, height, width), `out_shape` (classes,). What is known of a file without running it stands in
`hpo_models.lemur.declaration`.
"""

from __future__ import annotations

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
from hpo_models.lemur.declaration import (
    ADDED,
    DECLARATION,
    METHODS,
    NETWORK,
    lacking_method,
    names,
    no_network,
)


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


def _network(path: Path, module: Any) -> Any:
    network = getattr(module, NETWORK, None)
    if not isinstance(network, type):
        raise no_network(path, f"no class {NETWORK}")
    for method in METHODS:
        if not hasattr(network, method):
            raise no_network(path, lacking_method(method))
    return network


def _hyperparameters(path: Path, module: Any) -> frozenset[str]:
    function = getattr(module, DECLARATION, None)
    if not callable(function):
        raise no_network(path, f"no {DECLARATION}()")
    return names(path, function())


def _meant(word: str, known: Iterable[str]) -> str:
    """` - did you mean 'that'?`, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" - did you mean '{close[0]}'?" if close else ""
