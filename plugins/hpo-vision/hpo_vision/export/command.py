"""`hpo export`: the command. The work is in `hpo_vision.export.exporting`, and what is slow to import with it."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Any

import typer

from hpo_vision.export import arguments as given
from hpo_vision.export.card import rise, simplified
from hpo_vision.wording import counted


def export(
    reference: given.Reference,
    to: given.To,
    normalize_inside: given.NormalizeInside = False,
    temperature: given.Temperature = False,
    quantize: given.Quantize = False,
    max_loss: given.MaxLoss = 0.01,
    storage: given.Storage = "sqlite:///runs/hpo.db",
    json: given.Json = False,
) -> None:
    """A model version as files: safetensors, ONNX, labels, model card; int8 if asked.

    DIR is there whole or not at all. Exit code 1: the int8 model loses more than --max-loss and is left out.
    """
    from hpo_core.commands import Registry
    from hpo_vision.export.exporting import Wanted, check, export

    wanted = Wanted(normalize_inside, temperature, quantize, max_loss)
    check(to)  # before the seconds that torch takes
    try:
        manifest = export(Registry.open(storage), reference, to, wanted)
    except KeyboardInterrupt:
        done = "was just written" if to.is_dir() and any(to.iterdir()) else "was not written"
        print(f"interrupted: {to} {done}", file=sys.stderr)
        raise typer.Exit(130) from None
    if json:
        print(json_module.dumps(manifest, indent=2))
    else:
        _print(to, manifest)
    quantization = manifest["quantization"]
    if quantization and not quantization["accepted"]:
        print(f"error: {_refusal(quantization)}", file=sys.stderr)
        raise typer.Exit(1)


def _print(to: Path, manifest: dict[str, Any]) -> None:
    print(f"{to}: {manifest['model']}")
    for name, about in manifest["files"].items():
        print(f"  {name:<20} {about['size']:>12,} bytes  sha256 {about['sha256'][:12]}")
    onnx = manifest["onnx"]
    print(
        f"ONNX differs from PyTorch by {onnx['difference']:.1e} at most "
        f"(batches of {', '.join(map(str, onnx['batches']))})"
    )
    if manifest["temperature"]:
        print(_temperature(manifest["temperature"]))
    if manifest["quantization"]:
        print("\n".join(_quantization(manifest["quantization"])))


def _temperature(about: dict[str, Any]) -> str:
    why = "" if about["fitted"] else ", for no validation image is guessed wrong"
    return (
        f"temperature {about['temperature']:.4g}{why}: negative log-likelihood {_change(about['nll'])}, "
        f"calibration error {_change(about['ece'])} on {counted(about['images'], 'image')} of the part val{rise(about)}"
    )


def _change(values: dict[str, float]) -> str:
    return f"{values['before']:.4f} -> {values['after']:.4f}"


def _quantization(about: dict[str, Any]) -> list[str]:
    before, after = about["before"], about["after"]
    why = simplified(about)
    return [
        f"{'':<10}{'accuracy':>10}{'bytes':>14}{'ms':>10}",
        *(
            f"{name:<10}{each['accuracy']:>10.4f}{each['bytes']:>14,}{each['latency_seconds'] * 1e3:>10.2f}"
            for name, each in (("float32", before), ("int8", after))
        ),
        f"accuracy on {counted(about['images'], 'image')} of the part {about['part']}; ms for one image on one thread",
        *([f"smaller {why}"] if why else []),
    ]


def _refusal(about: dict[str, Any]) -> str:
    return (
        f"the int8 model loses {about['loss']:.4f} of the accuracy, more than --max-loss {about['max_loss']:g}: "
        "it was left out, and everything else was written"
    )
