"""Pretrained weights: from files made here, from caches made here, and what is said where they are missing."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hpo_models import _pretrained
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from hpo_core import InputShape
from hpo_core.testing.training import built

SHAPE = InputShape(3, 32, 32, 10)
SHUFFLE = "torchvision/shufflenet_v2_x0_5"
TINY = "timm/test_resnet"


def state_of(name: str, classes: int = 10, channels: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(classes)
    state: dict[str, torch.Tensor] = built(
        "models", name, InputShape(channels, 32, 32, classes)
    ).state_dict()
    return state


def started(name: str, weights: Path | str, **options: Any) -> nn.Module:
    model: nn.Module = built("models", {"name": name, "weights": str(weights), **options}, SHAPE)
    return model


def same(model: nn.Module, state: dict[str, torch.Tensor], but: tuple[str, ...] = ()) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[key], value) is (key not in but) for key, value in state.items())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a network was asked")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)


@pytest.mark.parametrize("name", [SHUFFLE, TINY, "resnet18"])
def test_a_file_of_safetensors(name: str, tmp_path: Path) -> None:
    options = {"stem": "standard"} if name == "resnet18" else {}
    state = built("models", {"name": name, **options}, SHAPE).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    assert same(started(name, tmp_path / "a.safetensors", **options), state)


def test_a_state_dict_of_torch(tmp_path: Path) -> None:
    state = state_of(SHUFFLE)
    torch.save(state, tmp_path / "a.pth")
    assert same(started(SHUFFLE, tmp_path / "a.pth"), state)


@pytest.mark.parametrize(
    ("name", "layer"),
    [(SHUFFLE, "fc"), (TINY, "fc"), ("torchvision/squeezenet1_1", "classifier.1")],
)
def test_a_classifier_of_other_classes_is_left_out_and_said(
    name: str, layer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of(name, classes=7)
    save_file(state, tmp_path / "a.safetensors")
    model = started(name, tmp_path / "a.safetensors")
    own = (f"{layer}.bias", f"{layer}.weight")
    assert same(model, {k: v for k, v in state.items() if k not in own})
    assert model.state_dict()[own[0]].shape == (10,)
    [record] = [record for record in caplog.records if record.name == _pretrained.__name__]
    assert record.levelno == logging.WARNING
    assert f"without {own[0]}, {own[1]}: it tells 7 classes apart, not 10" in record.getMessage()


def test_what_does_not_match_is_named(tmp_path: Path) -> None:
    state = state_of(SHUFFLE, channels=1)
    state["extra.weight"] = state.pop("conv5.0.weight")
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"do not fit {SHUFFLE}") as caught:
        started(SHUFFLE, tmp_path / "a.safetensors")
    message = str(caught.value)
    assert "missing are conv5.0.weight;" in message
    assert "unknown are extra.weight;" in message
    assert "of another shape are conv1.0.weight (24, 1, 3, 3) for (24, 3, 3, 3)" in message


def test_nothing_is_changed_by_weights_that_do_not_fit(tmp_path: Path) -> None:
    model = built("models", SHUFFLE, SHAPE)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    file = tmp_path / "a.safetensors"
    save_file(state_of(SHUFFLE, channels=1), file)
    with pytest.raises(ValueError, match="do not fit"):
        _pretrained.load_torchvision(model, "shufflenet_v2_x0_5", str(file), 10)
    assert same(model, before)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file of weights .*gone\.pth"):
        started(SHUFFLE, tmp_path / "gone.pth")


@pytest.mark.parametrize("name", [SHUFFLE, TINY])
@pytest.mark.parametrize("word", ["default", "imagenet", "pretrained"])
def test_a_word_that_is_no_file_is_told_what_is_allowed(
    name: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no file of weights") as caught:
        started(name, word)
    assert f"{tmp_path / word}: weights is the path of a file, or cached (" in str(caught.value)


class Trap:
    """Leaves a file where a pickle that names it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def dump(it: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(it, protocol=2))


@pytest.mark.parametrize("save", [torch.save, dump])
def test_a_pickle_is_not_run(save: Any, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    save({"fc.weight": Trap(trap)}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="cannot read weights from"):
        started(SHUFFLE, tmp_path / "a.pth")
    assert not trap.exists()


def test_other_contents_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": state_of(SHUFFLE)}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="holds a dict of epoch, state_dict and not tensors"):
        started(SHUFFLE, tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_text("no such thing")
    with pytest.raises(ValueError, match="cannot read weights from"):
        started(SHUFFLE, tmp_path / "a.safetensors")


def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def test_torchvisions_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, state = hub(tmp_path, monkeypatch), state_of(SHUFFLE)
    torch.save(state, folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    file = (folder / "new").rename(folder / f"shuffle-{digest[:8]}.pth")

    class Found(list[Any]):
        DEFAULT = SimpleNamespace(url=f"https://example.org/{file.name}")

    monkeypatch.setattr(models, "get_model_weights", lambda name: Found([Found.DEFAULT]))
    assert same(started(SHUFFLE, "cached"), state)
    file.write_bytes(file.read_bytes() + b"!")
    with pytest.raises(ValueError, match=f"is damaged: its sha256 begins with .* not {digest[:8]}"):
        started(SHUFFLE, "cached")


def test_an_empty_cache_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub(tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="downloads nothing: looked for") as caught:
        started("torchvision/squeezenet1_1", "cached")
    assert f"{folder}/squeezenet1_1-b8a52dc0.pth" in str(caught.value)
    assert "Fetch https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth" in str(
        caught.value
    )


def test_timms_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = timm.get_pretrained_cfg("test_resnet").hf_hub_id
    with pytest.raises(ValueError, match=f"hf download {repository}"):
        started(TINY, "cached")
    state = state_of(TINY)
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    save_file(state, folder / "snapshots" / "abc" / "model.safetensors")
    assert same(started(TINY, "cached"), state)


def test_a_model_that_the_library_has_no_weights_for() -> None:
    with pytest.raises(ValueError, match="torchvision has no weights for 'mnasnet9': leave"):
        _pretrained_none()


def _pretrained_none() -> None:
    class Empty(list[Any]):
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get_model_weights", lambda name: Empty())
        _pretrained.cached_torchvision("mnasnet9")


def test_old_densenets_and_auxiliary_classifiers(tmp_path: Path) -> None:
    """Files that torchvision itself translates when it reads them."""
    with torch.device("meta"):
        dense = built("models", "densenet", InputShape(3, 64, 64, 10))
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): torch.ones(value.shape)
        for key, value in dense.state_dict().items()
    }
    torch.save(old, tmp_path / "a.pth")
    model = built(
        "models",
        {"name": "densenet", "weights": str(tmp_path / "a.pth")},
        InputShape(3, 64, 64, 10),
    )
    assert model.features.denseblock1.denselayer1.norm1.weight.eq(1).all()
