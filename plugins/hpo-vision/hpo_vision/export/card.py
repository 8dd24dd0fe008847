"""The section of a model card about an export: what its files take and give, and how they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

USE = """\
```python
import json
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.load(open("labels_mapping.json", encoding="utf-8"))["classes"]
picture = ImageOps.fit(Image.open("image.png").convert("{mode}"), ({width}, {height}))
images = np.asarray(picture, np.float32).reshape(1, {height}, {width}, {channels}).transpose(0, 3, 1, 2) / 255
{scaling}[logits] = session.run(["logits"], {{"images": np.ascontiguousarray(images)}})
print(classes[logits[0].argmax()])
```"""

SCALING = """\
mean, std = (np.array(x, np.float32).reshape(-1, 1, 1) for x in ({mean}, {std}))
images = (images - mean) / std
"""


def section(manifest: Mapping[str, Any]) -> str:
    """The section, in Markdown."""
    return "\n\n".join(["## Export", "\n".join(_facts(manifest)), _use(manifest)]) + "\n"


def _facts(manifest: Mapping[str, Any]) -> Iterator[str]:
    onnx, size = manifest["onnx"], manifest["input"]
    scaled = "pixels of 0..1" if onnx["normalize_inside"] else "(pixel / 255 - mean) / std"
    yield (
        f"- `model.onnx` takes `images` (N, {size['channels']}, {size['height']}, {size['width']}), float32, {scaled}, "
        f"and gives `logits`; they differ from PyTorch's by {onnx['difference']:.1e} at most."
    )
    if manifest["temperature"] and manifest["temperature"]["fitted"]:
        about = manifest["temperature"]
        yield (
            f"- Its logits are divided by {about['temperature']:.4g}, which was fitted to {about['images']} validation "
            f"images: negative log-likelihood {_change(about['nll'])}, calibration error {_change(about['ece'])}"
            f"{rise(about)}."
        )
    if manifest["quantization"]:
        yield _quantization(manifest["quantization"])


def _change(values: Mapping[str, float]) -> str:
    return f"{values['before']:.4f} before, {values['after']:.4f} after"


def rise(temperature: Mapping[str, Any]) -> str:
    """A clause on a calibration error that rose; of a temperature in a manifest."""
    error = temperature["ece"]
    if error["after"] <= error["before"]:
        return ""
    return "; the calibration error rose, for what is fitted is the likelihood"


def simplified(quantization: Mapping[str, Any]) -> str:
    """A clause on what made the file smaller before quantization did; of a quantization in a manifest."""
    size = quantization["simplified_bytes"]
    if size > 0.9 * quantization["before"]["bytes"]:
        return ""
    return f"not by quantization alone: without it, but simplified by onnxruntime, the model has {size:,} bytes"


def _quantization(about: Mapping[str, Any]) -> str:
    before, after = about["before"], about["after"]
    why = simplified(about)
    what = "`model.int8.onnx`" if about["accepted"] else "An int8 model, left out for its loss,"
    return (
        f"- {what} has an accuracy of {after['accuracy']:.4f} instead of {before['accuracy']:.4f} on {about['images']} "
        f"validation images, {after['bytes']:,} bytes instead of {before['bytes']:,}{why and f' ({why})'}, and takes "
        f"{after['latency_seconds'] * 1e3:.2f} ms instead of {before['latency_seconds'] * 1e3:.2f} ms for an image "
        f"on one thread; calibrated on {about['calibrated']} training images."
    )


def _use(manifest: Mapping[str, Any]) -> str:
    size = manifest["input"]
    inside = manifest["onnx"]["normalize_inside"]
    return USE.format(
        mode="L" if size["channels"] == 1 else "RGB",
        scaling="" if inside else SCALING.format(mean=size["mean"], std=size["std"]),
        **{key: size[key] for key in ("width", "height", "channels")},
    )
