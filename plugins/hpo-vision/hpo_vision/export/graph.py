"""A network as an ONNX file: one file, any number of images at once, `images` in and `logits` out.

It says of itself what it is (`metadata_props`) and nothing of where it was made: PyTorch's exporter notes for each
operation the lines of source that it came from, with their paths on this machine, and they are taken out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from hpo_core import HpoError
from hpo_core.commands import UsageError
from hpo_vision.export.sessions import run, session
from hpo_vision.loading import Described

INPUT, OUTPUT = "images", "logits"
BATCHES = (1, 2, 7)
"""How many images at once the file is compared with PyTorch for."""

TOLERANCE = 1e-4
"""How much a logit may differ from PyTorch's; of the largest one where that is above 1."""

LIMIT = 2**31
"""A protocol buffer, which a file of ONNX is, has fewer bytes than this."""


class Exported(nn.Module):
    """What is exported: the network, behind the scaling of pixels (if `inside`) and before a division by `degrees`."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, about: Described, inside: bool, degrees: float) -> None:
        super().__init__()
        self.network = network
        self._shape, self._inside, self._degrees = about.shape, inside, degrees
        self.register_buffer("mean", torch.tensor(about.mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(about.std).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), normalized or of 0..1, to logits (N, classes)."""
        if self._inside:
            images = (images - self.mean) / self.std
        logits: Tensor = self.network(images)
        return logits if self._degrees == 1.0 else logits / self._degrees

    def example(self, count: int) -> Tensor:
        """Images as it takes them, of noise; the same each time."""
        shape = self._shape
        source = torch.Generator().manual_seed(count)
        pixels = torch.rand(count, shape.channels, shape.height, shape.width, generator=source)
        return pixels if self._inside else (pixels - self.mean) / self.std


def write(exported: Exported, path: Path, properties: Mapping[str, str]) -> None:
    """Write the file. Raises UsageError for a model that ONNX cannot express, or that is too large for a file."""
    size = sum(each.numel() * each.element_size() for each in exported.state_dict().values())
    if size >= LIMIT:
        raise UsageError(f"a file of ONNX has less than 2 GiB, and the weights have {size:,} bytes")
    model = _graph(exported.eval(), exported.example(2))
    _forget_sources(model)
    _describe(model, properties)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def describe(path: Path, properties: Mapping[str, str]) -> None:
    """Have a file say of itself what `write` made its original say."""
    model = onnx.load(path)
    _describe(model, properties)
    path.write_bytes(model.SerializeToString(deterministic=True))


def difference(exported: Exported, path: Path) -> float:
    """The most that a logit of the file differs from PyTorch's. Raises HpoError where that is more than TOLERANCE."""
    found, own = 0.0, session(path)
    for count in BATCHES:
        images = exported.example(count)
        with torch.inference_mode():
            expected = exported(images)
        least = max(1.0, float(expected.abs().max()))
        given = float((torch.from_numpy(run(own, images.numpy())) - expected).abs().max())
        if not given <= TOLERANCE * least:  # NaN is not
            raise HpoError(
                f"the ONNX model is not the model: its logits differ by {given:g} for {count} images"
            )
        found = max(found, given)
    return found


def _graph(exported: Exported, images: Tensor) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself; the result is compared
            program = torch.onnx.export(
                exported,
                (images,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"the model cannot be written as ONNX: {reason}") from error
    assert program is not None  # which it is without `dynamo` alone
    return program.model_proto


def _forget_sources(model: Any) -> None:
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for part in (function, *function.node):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


def _describe(model: Any, properties: Mapping[str, str]) -> None:
    del model.metadata_props[:]
    for key, value in properties.items():
        model.metadata_props.add(key=key, value=value)
