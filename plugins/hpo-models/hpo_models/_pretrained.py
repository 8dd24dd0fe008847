"""Weights from files: found, checked, read without pickle, and fitted to a network. Imported by factories on use.

A layer that tells other classes apart than the network's is left out, and the log says so. Everything else must match,
or the error names what does not.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hpo_models.weights import CACHED

State = dict[str, Tensor]

SHOWN = 3  # keys of each sort in an error
_HASH = re.compile(r"-([0-9a-f]{8,})\.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
_log = logging.getLogger(__name__)


def load_torchvision(model: nn.Module, architecture: str, weights: str, classes: int) -> None:
    """Give a torchvision model its weights. Raises ValueError when they are not there or do not fit."""
    file = Path(weights) if weights != CACHED else cached_torchvision(architecture)
    state = {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in read(file).items()}
    dropped = _AUXILIARY.get(architecture, ())
    state = {key: value for key, value in state.items() if not key.startswith(dropped or ("\0",))}
    fit(model, state, f"torchvision/{architecture}", file, {_last_layer(model)}, classes)


def load_timm(model: nn.Module, architecture: str, weights: str, classes: int) -> None:
    """Give a timm model its weights. Raises ValueError when they are not there or do not fit."""
    file = Path(weights) if weights != CACHED else cached_timm(architecture)
    named: Any = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    classifiers = {named} if isinstance(named, str) else set(named)
    fit(model, read(file), f"timm/{architecture}", file, classifiers, classes)


def cached_torchvision(architecture: str) -> Path:
    """The file of torchvision's weights in torch hub's cache, the default ones first. Raises ValueError."""
    from torchvision import models

    found: Any = models.get_model_weights(architecture)
    if not len(found):
        raise ValueError(f"torchvision has no weights for '{architecture}': leave weights out")
    urls = dict.fromkeys([found.DEFAULT.url, *(each.url for each in found)])
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    files = [folder / url.rpartition("/")[2] for url in urls]
    if (file := _first(files)) is None:
        raise _not_cached(f"torchvision/{architecture}", files[0], found.DEFAULT.url)
    _verify(file)
    return file


def cached_timm(architecture: str) -> Path:
    """The file of timm's default weights in the cache of Hugging Face or of torch hub. Raises ValueError."""
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    about: Any = timm.get_pretrained_cfg(architecture)
    if about is None or not (about.hf_hub_id or about.url):
        raise ValueError(f"timm has no weights for '{architecture}': leave weights out")
    if not about.hf_hub_id:
        file: Path = Path(torch.hub.get_dir()) / "checkpoints" / about.url.rpartition("/")[2]
        if not file.is_file():
            raise _not_cached(f"timm/{architecture}", file, about.url)
        _verify(file)
        return file
    repository, _, revision = about.hf_hub_id.partition("@")
    names = [about.hf_hub_filename] if about.hf_hub_filename else []
    for name in (*names, "model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    looked_for = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    raise _not_cached(
        f"timm/{architecture}", looked_for, f"{repository} (hf download {repository})"
    )


def read(file: Path) -> State:
    """The tensors of a file by name. Raises ValueError unless it is safetensors or a state dict of torch."""
    if not file.is_file():
        raise ValueError(
            f"there is no file of weights {file.absolute()}: weights is the path of a file, or {CACHED} "
            "(the library's own, where they have been downloaded)"
        )
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"cannot read weights from {file}: {reason} (what is read: safetensors, and a dictionary of tensors "
            "that torch.save wrote)"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        keys = f" of {_some(map(str, found))}" if isinstance(found, dict) else ""
        raise ValueError(
            f"{file} holds a {type(found).__name__}{keys} and not tensors by name: "
            "save the network's state_dict() alone"
        )
    return dict(found)


def fit(
    model: nn.Module, state: State, name: str, file: Path, classifiers: set[str], classes: int
) -> None:
    """Load a state into a network, without those of its `classifiers` that have another number of classes.

    Raises ValueError, naming the first keys that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    others = {key for key in state if _is_of(key, classifiers) and _differs(own, state, key)}
    kept = {key: value for key, value in state.items() if key not in others}
    if others:
        had = state[min(others)].shape[0]
        _log.warning(
            "%s starts from %s without %s: it tells %d classes apart, not %d",
            *(name, file, ", ".join(sorted(others)), had, classes),
        )
    problems = list(_problems(own, kept, others))
    if problems:
        raise ValueError(f"the weights {file} do not fit {name}: {'; '.join(problems)}")
    with torch.no_grad():
        for key, value in kept.items():
            own[key].copy_(value)


def _problems(own: State, kept: State, others: set[str]) -> Iterator[str]:
    missing = [key for key in own if key not in kept and key not in others]
    # files of long ago do not count batches
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing:
        yield f"missing are {_some(missing)}"
    if unknown := [key for key in kept if key not in own]:
        yield f"unknown are {_some(unknown)}"
    if differing := [key for key in kept if key in own and _differs(own, kept, key)]:
        yield "of another shape are " + _some(
            f"{key} {tuple(kept[key].shape)} for {tuple(own[key].shape)}" for key in differing
        )


def _differs(own: State, state: State, key: str) -> bool:
    return key in own and own[key].shape != state[key].shape


def _is_of(key: str, layers: Iterable[str]) -> bool:
    return key.rpartition(".")[0] in set(layers)


def _last_layer(model: nn.Module) -> str:
    """The layer that gives the logits: the last with weights in all of torchvision's classifiers."""
    layers: list[str] = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    return layers[-1]


def _first(files: Iterable[Path]) -> Path | None:
    return next((file for file in files if file.is_file()), None)


def _verify(file: Path) -> None:
    """Raise ValueError unless a file's name, which ends with the beginning of its sha256, is true."""
    promised = _HASH.search(file.name)
    if promised is None:
        return
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(promised.group(1)):
        raise ValueError(
            f"{file} is damaged: its sha256 begins with {found[:8]}, not {promised.group(1)}. Delete it"
        )


def _not_cached(model: str, file: Path, source: str) -> ValueError:
    return ValueError(
        f"{model} has no weights here, and a trial downloads nothing: looked for {file}. "
        f"Fetch {source} where there is a network and put it there, or give the path of a file"
    )


def _some(words: Iterable[str]) -> str:
    every = list(words)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
