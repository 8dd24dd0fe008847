"""What an export consists of, and in which order it is made: the folder gets its name when nothing is left to write.

A version's files are compared with their sha256 before anything of them is read, and the copies again when they are
made. The ONNX model is compared with PyTorch before it counts.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_core import Dataset, HpoError
from hpo_core.commands import ModelVersion, Registry, UsageError
from hpo_vision.loading import MAPPING, WEIGHTS, Described, dataset_of, described, network_of
from hpo_vision.procedural.folders import make_once

if TYPE_CHECKING:
    from torch import nn

    from hpo_vision.export.quantizing import Quantized
    from hpo_vision.export.temperature import Temperature

ONNX, INT8, CARD, MANIFEST = "model.onnx", "model.int8.onnx", "MODEL_CARD.md", "manifest.json"


@dataclass(frozen=True)
class Wanted:
    """What is asked of an export, as `hpo export` has it."""

    normalize_inside: bool = False
    temperature: bool = False
    quantize: bool = False
    max_loss: float = 0.01


def check(to: Path) -> None:
    """Raise UsageError where an export cannot go, or its libraries are not here."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is there already: give a new folder, or delete it")
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"an export needs {', '.join(missing)}: pip install 'hpo-vision[onnx]'")


def export(registry: Registry, reference: str, to: Path, wanted: Wanted) -> dict[str, Any]:
    """Write a version to the folder `to`, whole or not at all; what its `manifest.json` holds.

    An int8 model that loses more than `wanted.max_loss` is left out, and `quantization.accepted` is false. Raises
    UsageError for a folder that has files, StoreError for a version whose files are not what was registered.
    """
    check(to)
    version = registry.verified(reference)
    export = _Export(version, registry.card(reference), wanted)
    try:
        made = make_once(to.absolute(), export.fill)
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror or error}") from error
    if not made:  # somebody else was faster
        raise UsageError(f"{to} is there already: give a new folder, or delete it")
    return export.manifest


class _Export:
    """An export while it is made."""

    def __init__(self, version: ModelVersion, card: str, wanted: Wanted) -> None:
        self._version, self._card, self._wanted = version, card, wanted
        self._about: Described = described(version.folder)
        self._temperature: Temperature | None = None
        self._difference = 0.0
        self._quantized: Quantized | None = None
        self.manifest: dict[str, Any] = {}

    @property
    def steps(self) -> list[Callable[[Path], None]]:
        """What is written, in this order; each is given the folder."""
        first = [self._copy_weights, self._copy_mapping, self._write_onnx]
        int8 = [self._write_int8] if self._wanted.quantize else []
        return [*first, *int8, self._write_card, self._write_manifest]

    def fill(self, folder: Path) -> None:
        """Called with an empty folder, which nobody sees before this is over."""
        for step in self.steps:
            step(folder)

    @cached_property
    def _network(self) -> nn.Module:
        return network_of(self._about)

    @cached_property
    def _dataset(self) -> Dataset:
        return dataset_of(self._version.config, self._about.classes)

    def _copy_weights(self, folder: Path) -> None:
        self._copy(WEIGHTS, folder)
        self._about = replace(self._about, folder=folder)  # these are what is exported

    def _copy_mapping(self, folder: Path) -> None:
        if MAPPING in self._version.files:
            return self._copy(MAPPING, folder)
        # registered before versions kept it
        text = json.dumps(_mapping(self._about), indent=2, ensure_ascii=False)
        (folder / MAPPING).write_text(text + "\n", encoding="utf-8")

    def _copy(self, name: str, folder: Path) -> None:
        shutil.copyfile(self._version.folder / name, folder / name)
        if _digest(folder / name) != self._version.files[name]["sha256"]:
            raise HpoError(f"{self._version.folder / name} was changed while it was exported")

    def _write_onnx(self, folder: Path) -> None:
        from hpo_vision.export import graph

        if self._wanted.temperature:
            from hpo_vision.export import temperature  # torchmetrics takes seconds

            self._temperature = temperature.fitted(self._network, self._dataset)
        exported = graph.Exported(
            self._network, self._about, self._wanted.normalize_inside, self._degrees
        )
        graph.write(exported, folder / ONNX, self._properties())
        self._difference = graph.difference(exported, folder / ONNX)

    @property
    def _degrees(self) -> float:
        return 1.0 if self._temperature is None else self._temperature.temperature

    def _write_int8(self, folder: Path) -> None:
        from hpo_vision.export import graph, quantizing

        source, target, data = folder / ONNX, folder / INT8, self._dataset
        scaling = (self._about.mean, self._about.std) if self._wanted.normalize_inside else None
        count, size = quantizing.write(source, target, data, scaling)
        graph.describe(target, self._properties())
        self._quantized = quantizing.judged(
            source,
            target,
            data,
            scaling,
            calibrated=count,
            simplified_bytes=size,
            max_loss=self._wanted.max_loss,
        )
        if not self._quantized.accepted:
            target.unlink()

    def _write_card(self, folder: Path) -> None:
        from hpo_vision.export.card import section

        text = f"{self._card.rstrip()}\n\n{section(self._found())}"
        (folder / CARD).write_text(text, encoding="utf-8")

    def _write_manifest(self, folder: Path) -> None:
        files = {
            path.name: {"sha256": _digest(path), "size": path.stat().st_size}
            for path in sorted(folder.iterdir())
        }
        self.manifest = self._found() | {"files": files}
        text = json.dumps(self.manifest, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _found(self) -> dict[str, Any]:
        """What the manifest says besides its files."""
        from hpo_vision.export.graph import BATCHES, INPUT, OUTPUT

        onnx = {
            "input": INPUT,
            "output": OUTPUT,
            "normalize_inside": self._wanted.normalize_inside,
            "difference": self._difference,
            "batches": list(BATCHES),
        }
        return {
            "model": self._version.label,
            "sha256": self._version.sha256,
            "study": self._version.study,
            "trial": self._version.trial,
            "made_by": f"hpo-vision {importlib.metadata.version('hpo-vision')}",
            "evaluation": _evaluation(self._version),
            "input": _mapping(self._about)["input"] | _mapping(self._about)["normalization"],
            "onnx": onnx,
            "temperature": None if self._temperature is None else self._temperature.document(),
            "quantization": None if self._quantized is None else self._quantized.document(),
        }

    def _properties(self) -> dict[str, str]:
        """What an ONNX file says of itself."""
        mapping = _mapping(self._about)
        return {
            "model": self._version.label,
            "sha256": self._version.sha256,
            "classes": json.dumps(mapping["classes"], ensure_ascii=False),
            "input_shape": json.dumps([*mapping["input"].values()]),
            "normalization": json.dumps(
                mapping["normalization"] | {"inside": self._wanted.normalize_inside}
            ),
            "temperature": repr(self._degrees),
        }


def _mapping(about: Described) -> dict[str, Any]:
    shape = about.shape
    return {
        "classes": list(about.classes),
        "labels": {name: label for label, name in enumerate(about.classes)},
        "input": {"channels": shape.channels, "height": shape.height, "width": shape.width},
        "normalization": {"mean": list(about.mean), "std": list(about.std)},
    }


def _evaluation(version: ModelVersion) -> dict[str, Any] | None:
    """How the version did on data that nothing was chosen by, as it was recorded."""
    if version.evaluation is None:
        return None
    return {key: version.evaluation.get(key) for key in ("part", "n", "metrics")}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
