"""`hpo models describe`: figures against known ones, what is kept and when it is not, and failures of single models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from hpo_models import commands, description, figures, figures_cache
from hpo_models.figures_cache import FiguresCache
from hpo_models.prefixed import parse_prefixed, prefixed
from typer.testing import CliRunner

from hpo_core import Component, InputShape, PluginError, plugins
from hpo_core.cli.main import app
from hpo_core.commands import OfferedComponent, UsageError, read_component
from hpo_core.testing.distributions import use_distributions, write_distribution

RUNNER = CliRunner()
PLUGIN = '''
import torch
from hpo_core import hookimpl

def net(shape):
    """A plain one."""
    pixels = shape.channels * shape.height * shape.width
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(pixels, shape.classes))

def picky(shape):
    """Takes 16 pixels and no others."""
    if shape.height != 16:
        raise ValueError("only 16 pixels")
    return net(shape)

def broken(shape):
    """Raises."""
    raise RuntimeError("two\\nlines")

net.use_cases = ("tests", "examples")
picky.substitute_for = "Quaint"

@hookimpl
def register_models(register):
    register("Net", net, tier=2)
    register("net", net)
    register("picky", picky)
    register("broken", broken)
    register("other/net", lambda shape: net(shape))
'''


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(figures_cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "models.json"


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the models above."""
    (site := tmp_path / "site").mkdir()
    write_distribution(site, "hpo-described", PLUGIN, plugin="toys")
    use_distributions(monkeypatch, site)
    found = [point for point in plugins.installed() if point.name == "toys"]
    monkeypatch.setattr(plugins, "installed", lambda: found)


def called(*words: str) -> Any:
    command = typer.Typer(add_completion=False)
    command.command()(commands.describe)
    result = RUNNER.invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def described(*words: str) -> Any:
    return json.loads(called(*words, "--json").stdout)


@pytest.mark.parametrize("name", ["ResNet18", "timm/resnet18", "resnet50", "model_"])
def test_prefixed_names_are_parsed_back(name: str) -> None:
    assert prefixed(name) == f"model_{name}" and parse_prefixed(prefixed(name)) == name


@pytest.mark.parametrize("text", ["ResNet18", "model_", "Model_ResNet18", "a model_ResNet18", ""])
def test_other_texts_are_no_prefixed_names(text: str) -> None:
    assert parse_prefixed(text) is None


def test_an_empty_name_has_no_prefixed_one() -> None:
    with pytest.raises(ValueError, match="empty"):
        prefixed("")


@pytest.mark.parametrize(
    ("name", "size", "parameters", "gflop", "depth"),
    [
        ("resnet18", 224, 11.18, 3.63, 18),
        ("timm/vgg16", 224, 134.30, 30.93, 16),
        ("timm/densenet121", 224, 6.96, 5.67, 121),
        ("timm/vit_base_patch16_224", 224, 85.81, 35.1, 50),
    ],
)
def test_figures_are_the_known_ones(
    name: str, size: int, parameters: float, gflop: float, depth: int
) -> None:
    """Depths are those in the networks' names; of the transformer, a patch embedding, 12 times 4 and a classifier."""
    found = figures.count(read_component("models", name), InputShape(3, size, size, 10))
    assert found["parameters"] / 1e6 == pytest.approx(parameters, abs=0.01)
    assert found["flops"] / 1e9 == pytest.approx(gflop, rel=0.01)
    assert found["depth"] == depth


def test_figures_of_resnet18_at_32_pixels() -> None:
    component = read_component("models", "timm/resnet18")
    found = figures.count(component, InputShape(3, 32, 32, 10))
    assert found["flops"] / 1e9 == pytest.approx(0.074, abs=0.001)
    assert found["layers"] == 21  # with those of the shortcuts
    model = component.build(InputShape(3, 32, 32, 10))
    assert found["bytes"] == sum(value.nbytes for value in model.state_dict().values())


@pytest.mark.parametrize(("name", "side"), [("resnet18", 8), ("timm/test_vit", 16)])
def test_the_smallest_input_is_found(name: str, side: int) -> None:
    """The transformer's patches are of 16 pixels."""
    shape = InputShape(3, 224, 224, 10)
    assert figures.smallest_input(read_component("models", name), shape) == side


def test_a_constructor_may_compute() -> None:
    def build(shape: InputShape) -> torch.nn.Module:
        width = int(torch.tensor([2.0, 3.0]).prod().item())
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, width))

    found = figures.count(Component("net", {}, build), InputShape(3, 2, 2, 6))
    assert found["parameters"] == 13 * 6


def test_frozen_parameters_are_not_trainable() -> None:
    def build(shape: InputShape) -> torch.nn.Module:
        model = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(12, 4), torch.nn.Linear(4, 5)
        )
        model[1].requires_grad_(False)
        return model

    found = figures.count(Component("net", {}, build), InputShape(3, 2, 2, 5))
    assert (found["parameters"], found["trainable_parameters"], found["depth"]) == (77, 25, 2)
    assert found["flops"] == 2 * (12 * 4 + 4 * 5)


def test_json_has_everything(toys: None) -> None:
    found = described("Net", "--image-size", "4", "--classes", "5", "--channels", "2")
    latency = found.pop("latency")
    assert latency.pop("seconds") > 0 and latency.pop("threads") >= 1
    assert latency == {"runs": figures.RUNS, "batch": 1, "device": "cpu"}
    assert found == {
        "name": "Net",
        "prefixed_name": "model_Net",
        "names": ["Net", "net"],
        "plugin": "toys",
        "description": "A plain one.",
        "tier": 2,
        "use_cases": ["tests", "examples"],
        "substitute_for": None,
        "options": {},
        "input": {"channels": 2, "height": 4, "width": 4},
        "classes": 5,
        "smallest_input": 8,
        "parameters": 165,
        "trainable_parameters": 165,
        "bytes": 660,
        "flops": 320,
        "layers": 1,
        "depth": 1,
        "latency_skipped": None,
    }
    assert described("model_net")["name"] == "net"


def test_a_model_that_does_not_take_224_pixels_is_described_at_its_smallest(toys: None) -> None:
    found = described("picky")
    assert found["input"]["height"] == found["smallest_input"] == 16
    assert found["substitute_for"] == "Quaint"
    with pytest.raises(PluginError, match="the model 'picky': ValueError: only 16 pixels"):
        called("picky", "--image-size", "32")


def test_one_that_fails_costs_its_line_only(toys: None) -> None:
    result = called("--all", "--json")
    found = {each["name"]: each for each in json.loads(result.stdout)}
    assert list(found) == ["Net", "broken", "picky"]
    assert found["broken"] == {
        "name": "broken",
        "error": "the model 'broken': RuntimeError: two lines",
    }
    assert found["Net"]["parameters"] > 0
    assert result.stderr.splitlines() == ["[1/3] Net", "[2/3] broken", "[3/3] picky"]
    lines = called("--all").stdout.splitlines()
    assert lines[2].split() == [
        "broken",
        *"error: the model 'broken': RuntimeError: two lines".split(),
    ]
    assert lines[3].split()[:2] == ["picky", "16"]


def test_no_latency_of_what_is_too_much_work(toys: None) -> None:
    found = described("Net", "--latency-limit", "0")
    assert found["latency"] is None
    assert found["latency_skipped"] == "0.00301 GFLOP are more than the limit of 0"
    assert "not measured: 0.00301 GFLOP" in called("Net", "--latency-limit", "0").stdout


def test_figures_are_kept(toys: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = described("Net", "--image-size", "8")
    for name in ("count", "latency", "smallest_input"):
        monkeypatch.setattr(figures, name, None)
    assert described("Net", "--image-size", "8") == first
    assert [file.name for file in cache.parent.iterdir()] == [cache.name]
    for others in (["--classes", "4"], ["--image-size", "9"], ["--channels", "1"], ["--fresh"]):
        with pytest.raises(PluginError, match="not callable"):
            called("Net", "--image-size", "8", *others)


def test_another_machine_or_version_is_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    key = figures_cache.key(model="a")
    assert key == figures_cache.key(model="a") != figures_cache.key(model="a", machine="b")
    assert {"torch", "timm", "hpo-models"} <= set(figures_cache.versions())
    monkeypatch.setattr(figures_cache, "versions", lambda: {"torch": "0"})
    assert figures_cache.key(model="a") != key
    machine = figures_cache.machine()
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    assert figures_cache.machine() != machine


@pytest.mark.parametrize("text", ["{", "[1]", '{"key": 1}', "\x00\ud800"])
def test_a_broken_cache_is_replaced(toys: None, cache: Path, text: str) -> None:
    cache.parent.mkdir()
    cache.write_bytes(text.encode("utf-8", "surrogatepass"))
    result = called("Net")
    assert f"warning: the cache {cache} is of no use" in result.stderr
    assert called("Net").stderr == ""


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    cache = FiguresCache(tmp_path / "file" / "models.json", warnings.append)
    cache.put("a", {"x": 1})
    cache.put("b", {"x": 2})
    assert cache.get("a") == {"x": 1} and len(warnings) == 2  # neither read nor written


def test_people_get_lines(toys: None) -> None:
    text = called("Net", "--image-size", "4").stdout
    assert text.startswith("Net, net  (plugin toys)\n\nA plain one.\n")
    assert "parameters      490, trainable 490\n" in text
    assert "use cases       tests, examples\n" in text and "tier            2\n" in text


def test_mistakes_are_named(toys: None) -> None:
    for words in ((), ("Net", "--all")):
        with pytest.raises(UsageError, match="which model, or --all"):
            called(*words)
    with pytest.raises(UsageError, match="did you mean 'picky'"):
        called("pciky")


def test_it_is_a_command_of_the_group_models() -> None:
    result = RUNNER.invoke(app, ["models", "describe", "--help"])
    assert result.exit_code == 0 and "--image-size" in result.output


def test_the_tier_is_the_first_of_all_names() -> None:
    about = OfferedComponent("models", ("a",), "p", "", {}, {})
    assert about.tier is None and description.SIZE in figures.LADDER
