"""A registered model as a program uses it: it labels images, and is written to files for others to use.

Who trained it knows how: an objective whose factory has the attributes `predict` and `export` (`hpo_core.contracts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo_core.errors import UsageError
from hpo_core.plugins import load
from hpo_core.registry.model_version import ModelVersion
from hpo_core.registry.registry import Registry
from hpo_core.study_file import DEFAULT_STORAGE


@dataclass(frozen=True)
class Model:
    """A model version. What it is, where it comes from and how it did is in `version`."""

    version: ModelVersion
    registry: Registry = field(repr=False, compare=False)

    @classmethod
    def load(cls, reference: str, storage: str = DEFAULT_STORAGE) -> Model:
        """The version `NAME@3`, `NAME@ALIAS`, or the newest of `NAME`.

        Raises UsageError with the nearest word for one that is not there. No file of it is read before it is used.
        """
        registry = Registry.open(storage)
        return cls(registry.get(reference), registry)

    def predict(self, paths: Iterable[str | Path], **options: Any) -> list[Mapping[str, Any]]:
        """Label images: files, folders and all below them, patterns. The rows of `hpo predict`, with its options.

        One that cannot be read has a row with `error`. Raises UsageError where there is none at all, StoreError when a
        file of the version is not what was registered.
        """
        words = [str(path) for path in paths]
        return list(self._able("predict")(self.registry, self.version.label, words, **options))

    def export(self, to: str | Path, **options: Any) -> Mapping[str, Any]:
        """Write the model to the new folder `to`, whole or not at all; what its `manifest.json` holds.

        `options` are those of `hpo export`. Raises UsageError for a folder that has files, StoreError when a file of
        the version is not what was registered.
        """
        found: Mapping[str, Any] = self._able("export")(
            self.registry, self.version.label, Path(to), **options
        )
        return found

    def _able(self, verb: str) -> Callable[..., Any]:
        """What the objective that made the model can do with it."""
        name = self.version.provenance.get("objective")
        if name is None:
            raise UsageError(
                f"{self.version.label} was registered before versions kept their objective"
            )
        found: Callable[..., Any] | None = getattr(
            load()[0].entry("objectives", name).factory, verb, None
        )
        if found is None:
            raise UsageError(
                f"'{name}', which made {self.version.label}, cannot {verb} with its models"
            )
        return found
