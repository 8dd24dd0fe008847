"""Grad-CAM: the heat is where the reason is, and who has no maps is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hpo_vision.prediction import running
from hpo_vision.prediction.explaining import Explainer, last_maps, overlay
from hpo_vision.prediction.reading import Reader
from hpo_vision.prediction.running import Asked, run
from PIL import Image
from predictors import Colours, brightness, looking
from torch import Tensor, nn

from hpo_core.commands import UsageError


def explainer(folder: Path, network: nn.Module, size: int = 64) -> Explainer:
    model = looking(network, size)
    return Explainer(model, folder, Reader(model.shape, 10**6))


def test_the_heat_is_where_the_colour_is(tmp_path: Path) -> None:
    explain = explainer(tmp_path / "why", Colours())
    pixels = torch.zeros(3, 64, 64, dtype=torch.uint8)
    pixels[0, 8:24, 8:24] = 255  # red
    pixels[2, 40:56, 32:48] = 200  # blue
    for label, rows, columns in (
        (0, slice(8, 24), slice(8, 24)),
        (1, slice(40, 56), slice(32, 48)),
    ):
        heat = explain.heat(pixels, label)
        assert heat.shape == (64, 64) and float(heat.max()) == 1.0
        assert float(heat[rows, columns].mean()) > 0.7
        assert heat[rows, columns].sum() / heat.sum() > 0.6
        assert float(explain.heat(pixels, 1 - label)[rows, columns].max()) == 0.0
    assert float(explain.heat(torch.zeros_like(pixels), 0).max()) == 0.0


def test_files_are_drawn_for_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "loaded", lambda *given: looking(Colours()))
    for name, colour in (("a b", "red"), ("ü", "grey")):
        Image.new("RGB", (80, 70), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "cut.png").write_bytes(b"x")
    why = tmp_path / "why"
    assert run(Asked("m", (f"{tmp_path}/*.png",), explain=why, select=1)) == 1
    assert [path.name for path in why.iterdir()] == ["000001-_.png"]
    assert f'"explanation": "{why}/000001-_.png"' in capsys.readouterr().out
    with Image.open(why / "000001-_.png") as page:
        assert page.size == (2 * 256 + 4, 256) and page.mode == "RGB"
    with pytest.raises(UsageError, match="is there already"):
        run(Asked("m", (f"{tmp_path}/*.png",), explain=why))


def test_what_does_not_count_stays_as_it_is() -> None:
    pixels = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    heat = torch.zeros(8, 8)
    heat[:4, :4] = 1.0
    page = np.asarray(overlay(pixels, heat))
    assert page.shape == (224, 2 * 224 + 4, 3)
    assert (page[:, :224] == 100).all() and (page[150:, 400:] == 100).all()
    assert (page[10, 240] != 100).any()


class Residual(nn.Module):
    """A stage whose last convolution is the shortcut's, and smaller maps behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.stage = Stage()
        self.small = nn.Conv2d(4, 4, 3, 4, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.pool(self.small(self.stage(self.stem(images)))).flatten(1))
        return found


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1)

    def forward(self, maps: Tensor) -> Tensor:
        found: Tensor = (self.conv(maps) + self.shortcut(maps)).relu()
        return found


def test_the_maps_are_those_of_the_stage_and_not_too_coarse() -> None:
    network = Residual().eval()
    assert last_maps(network, torch.zeros(1, 3, 16, 16)) is network.stage  # 8x8; then 2x2
    assert last_maps(network, torch.zeros(1, 3, 40, 40)) is network.small  # 5x5
    assert last_maps(network, torch.zeros(1, 3, 4, 4)) is network.stage  # 2x2; then 1x1


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.mix(self.patches(images).flatten(2).mT).mean(1))
        return found


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Tokens(), "goes on with tokens"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), "the model has none"),
    ],
)
def test_models_without_maps(tmp_path: Path, network: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        explainer(tmp_path / "why", network)
    assert not (tmp_path / "why").exists()


def test_without_weights(tmp_path: Path) -> None:
    model = brightness()
    with pytest.raises(UsageError, match="needs weights"):
        Explainer(model, tmp_path / "why", Reader(model.shape, 10**6))
