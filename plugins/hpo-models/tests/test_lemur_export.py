"""Exported LEMUR files: all 35 run on their own, and their learning rate is that of the catalogue's schedulers."""

from __future__ import annotations

import ast
import copy
import functools
import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torchvision
from hpo_models.lemur import commands as lemur_commands
from hpo_models.lemur.code import AVERAGED, NUMBERS, PLATEAUS, Schedule, source
from hpo_models.lemur.models import construction, origin
from hpo_models.zoo import ZOO
from torch import nn
from typer.testing import CliRunner

from hpo_core import Component
from hpo_core.commands import offered
from hpo_core.testing.training import built

MODEL = "ResNet18"
CPU = torch.device("cpu")
IMAGES = (2, 3, 32, 32)
CATALOGUE = {name: each for each in offered("lr_schedulers") for name in each.names}
CONTROL = {"epoch", "epoch_max"}  # what LEMUR adds to prm


def exported(folder: Path, number: str, model: str = MODEL) -> Path:
    """The file that the command's function writes."""
    lemur_commands.export_lemur(model, number, folder)
    return folder / f"{model.replace('/', '_')}_{number}.py"


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copied_as_called(model: nn.Module, *, weights: None, num_classes: int) -> nn.Module:
    assert num_classes == 10
    return copy.deepcopy(model)


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.randn(IMAGES), torch.tensor([1, 3])) for _ in range(count)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All 35 for the model, written without asking the plugins for each anew."""
    folder, build = tmp_path_factory.mktemp("lemur"), construction(MODEL)
    paths = {number: folder / f"{number}.py" for number in NUMBERS}
    for number, path in paths.items():
        about = CATALOGUE[number]
        schedule = Schedule(number, number, about.defaults, about.ranges)
        path.write_text(source(MODEL, build, schedule), encoding="utf-8")
    return paths


def test_there_are_35() -> None:
    assert NUMBERS == [f"A0_{number:03}" for number in range(1, 36)]


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return torchvision.models.resnet18(num_classes=10)


@pytest.mark.parametrize("number", NUMBERS)
def test_resnet18_takes_a_step(
    number: str, files: dict[str, Path], resnet18: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As LEMUR would: `check_nn` gives no more than its own hyperparameters."""
    module = imported(files[number])
    if number != NUMBERS[0]:  # copies of one: drawing 11 million weights 35 times takes long
        build = functools.partial(copied_as_called, resnet18)
        monkeypatch.setattr(torchvision.models, "resnet18", build)
    prm = {"lr": 0.01, "momentum": 0.9, "batch": 2, "epoch": 1, "transform": "norm_256_flip"}
    net = module.Net(IMAGES, (10,), prm, CPU)
    net.train_setup(prm)
    before = net.model.conv1.weight.detach().clone()
    net.learn(batches(1))
    assert not torch.equal(before, net.model.conv1.weight)
    assert net.eval()(torch.randn(IMAGES)).shape == (2, 10)


@pytest.mark.parametrize("number", NUMBERS)
def test_declared_is_used(number: str, files: dict[str, Path]) -> None:
    """What NNEval asks for by regular expression, and more: exactly what is declared is read from prm."""
    text = files[number].read_text(encoding="utf-8")
    tree = ast.parse(text)
    declared = imported(files[number]).supported_hyperparameters()
    assert all(text.count(f"'{name}'") >= 2 for name in declared)
    read = {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "prm"
    }
    assert read == declared == {"lr", "momentum", *CATALOGUE[number].ranges}
    asked = {
        ast.literal_eval(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "prm.get"
    }
    assert asked == CONTROL


@pytest.mark.parametrize("number", NUMBERS)
def test_needs_nothing_else(number: str, files: dict[str, Path]) -> None:
    nodes = list(ast.walk(ast.parse(files[number].read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in names}
    assert roots <= {"math", "collections", "torch", "torchvision"}


class Tiny(nn.Module):
    """A stand-in for the model: these tests are about rates."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, 32)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv1(images).flatten(1)


def tiny(module: ModuleType, monkeypatch: pytest.MonkeyPatch, prm: dict[str, Any]) -> Any:
    monkeypatch.setattr(torchvision.models, "resnet18", lambda **_: Tiny())
    net = module.Net(IMAGES, (10,), prm, CPU)
    net.train_setup(prm)
    return net


def rates_of(optimizer: Any) -> list[float]:
    """A list that fills with the rate of each step as the optimizer takes it."""
    rates: list[float] = []
    optimizer.register_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
    return rates


def option(tree: dict[str, Any], place: float) -> Any:
    """The value at a place of a range, said once more."""
    if "choice" in tree:
        return tree["choice"][int(place >= 0.5)]
    if "int" in tree:
        low, high = tree["int"]
        return min(low + int((high - low + 1) * place), high)
    low, high = tree["float"]
    return low * (high / low) ** place if tree.get("log") else low + (high - low) * place


def catalogues_rates(number: str, options: dict[str, Any], base: float, total: int) -> list[float]:
    own = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = built("lr_schedulers", {"name": number, **options}, own, total)
    rates = rates_of(own)
    for _ in range(total):
        own.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("searched", [False, True], ids=["defaults", "searched"])
@pytest.mark.parametrize("number", [each for each in NUMBERS if each not in PLATEAUS])
def test_rates_are_the_catalogues(
    number: str, searched: bool, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over whole runs, with default hyperparameters and at places drawn from [0, 1]."""
    module, draw, ranges = imported(files[number]), random.Random(number), CATALOGUE[number].ranges
    for epochs, length in [(1, 1), (2, 1), (1, 5), (3, 7)]:
        places = {name: draw.random() for name in ranges} if searched else {}
        prm = {"lr": 0.05, "momentum": 0.9, "epoch": epochs, **places}
        net = tiny(module, monkeypatch, prm)
        rates = rates_of(net.optimizer)
        for _ in range(epochs):
            net.learn(batches(length))
        options = {name: option(dict(ranges[name]), place) for name, place in places.items()}
        expected = catalogues_rates(number, options, 0.05, epochs * length)
        assert rates == pytest.approx(expected, rel=1e-9, abs=1e-12), (epochs, length, options)


LOSSES = [3.0, 2.0, 2.0, 2.0, 1.9, 1.95, 2.5, 2.5, 2.5, 2.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize("number", PLATEAUS)
def test_a_plateaus_rates_are_the_catalogues(
    number: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When both are told the same losses, an epoch's mean for the one, validation's for the other."""
    epochs = len(LOSSES)
    net = tiny(imported(files[number]), monkeypatch, {"lr": 0.05, "momentum": 0.9, "epoch": epochs})
    own = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.05)
    scheduler = built("lr_schedulers", number, own, epochs)
    rates, expected = rates_of(net.optimizer), rates_of(own)
    for loss in LOSSES:
        net.criteria = (lambda outputs, labels, loss=loss: outputs.sum() * 0 + loss,)
        net.learn(batches(2))
        own.step()
        scheduler.step(loss)
    assert len(set(expected)) > 1
    assert rates[::2] == rates[1::2] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("number", AVERAGED)
def test_validates_the_average(
    number: str, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of the weights after each step from the start of the averaging on; until then the weights."""
    net = tiny(imported(files[number]), monkeypatch, {"lr": 0.5, "momentum": 0.0, "epoch": 2})
    seen: list[torch.Tensor] = []
    net.optimizer.register_step_post_hook(
        lambda *_: seen.append(net.model.conv1.bias.detach().clone())
    )
    image = torch.randn(IMAGES)
    net.learn(batches(4))
    torch.testing.assert_close(net.eval()(image), net.model(image))
    net.learn(batches(4))
    mean = torch.stack(seen[6:]).mean(0)  # from step 0.75 T on
    torch.testing.assert_close(net.average.module.conv1.bias.detach(), mean)
    torch.testing.assert_close(net.eval()(image), net.average.module(image))


def test_other_channels_and_timm(tmp_path: Path) -> None:
    module = imported(exported(tmp_path, "A0_006"))
    assert module.Net((2, 1, 32, 32), (4,), {}, CPU)(torch.randn(2, 1, 32, 32)).shape == (2, 4)
    module = imported(exported(tmp_path, "A0_006", "timm/test_vit"))
    assert module.Net((2, 1, 32, 32), (4,), {}, CPU)(torch.randn(2, 1, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize("name", ["GoogLeNet", "MaxVit", "VisionTransformer"])
def test_architectures_with_arguments_of_their_own(name: str) -> None:
    """What some of torchvision's constructors want beside the number of classes."""
    shape = (2, 3, 224, 224)
    values = {"torchvision": torchvision, "in_shape": shape, "out_shape": (10,)}
    with torch.device("meta"):
        net = eval(construction(name).expression, values)
        assert net(torch.empty(shape)).shape == (2, 10)


def test_every_name_that_a_library_has_is_exported() -> None:
    """29 of the 38 are torchvision's or timm's; two more stand for a name that nothing has."""
    libraries = {each.name: origin(Component(each.name, {}, None, each.factory())) for each in ZOO}
    assert libraries["ResNet34"] == ("torchvision", "resnet34")
    assert libraries["DPN68"] == ("timm", "dpn68")
    assert {name for name, (library, _) in libraries.items() if not library} == {
        *("AirNet", "AirNext", "BagNet", "FractalNet"),
        *("BayesianNet", "ComplexNet", "Diffuser"),
    }


def test_command(tmp_path: Path) -> None:
    """Names work as numbers do; the file is named after both, and never overwrites another."""
    import typer

    app = typer.Typer()
    app.command()(lemur_commands.export_lemur)
    words = [MODEL, "--lr-scheduler", "cosine", "-o", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    file = tmp_path / f"{MODEL}_A0_006.py"
    assert json.loads(result.stdout) == {
        "file": str(file),
        "model": MODEL,
        "lr_scheduler": "A0_006",
        "hyperparameters": ["lr", "momentum"],
    }
    CliRunner().invoke(app, words, catch_exceptions=False)
    file.write_text("mine")
    with pytest.raises(Exception, match="is there already"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("model", "lr_scheduler", "message"),
    [
        (MODEL, "A0_036", "did you mean 'A0_03"),
        (MODEL, "H041", "none of A0_001 to A0_035"),
        ("RexNet18", "A0_001", "did you mean 'resnet18'"),
        ("multi-input", "A0_001", "one call of torchvision or timm"),
    ],
)
def test_what_cannot_be_exported(
    model: str, lr_scheduler: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=message):
        lemur_commands.export_lemur(model, lr_scheduler, tmp_path)
    assert not list(tmp_path.iterdir())
