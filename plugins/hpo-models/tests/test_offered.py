"""What the plugin offers: more than 1,300 names, listed without torch, and documented as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from hpo_models.zoo import ZOO

from hpo_core import InputShape, options, plugins
from hpo_core.cli.catalog_commands import list_kind
from hpo_core.testing.training import installed_catalog

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

LISTING = """\
import sys
from hpo_core.cli.catalog_commands import list_kind
list_kind("models")
assert not {"torch", "timm", "torchvision", "pytorchcv", "optuna"} & set(sys.modules)
"""


def test_listing_imports_no_torch() -> None:
    command = [sys.executable, "-c", LISTING]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 1300
    assert not [line for line in lines if "partial(" in line or "BROKEN" in line]
    [icnet] = [line for line in lines if line.startswith("ICNet ")]
    assert "A substitute for ICNet, a network for segmentation." in icnet


def test_a_listing_has_the_tier_of_a_model_under_all_its_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whereas a tier, as a choice of models, has each of them once."""
    list_kind("models", tier=1, json=True)
    found = json.loads(capsys.readouterr().out)
    assert {each["tier"] for each in found} == {1}
    names = ["ResNet18", "ResNet34", "ResNet50", "resnet18", "resnet34", "resnet50"]
    assert [each["name"] for each in found] == names
    list_kind("models")
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["ResNet18", "1"] in rows and ["ConvNeXt", "3"] in rows and ["AlexNet", "-"] in rows
    assert installed_catalog().tiers("models")[1] == ["resnet18", "resnet34", "resnet50"]


def test_every_option_of_every_model_is_described() -> None:
    entries = installed_catalog().entries("models")
    assert len(entries) > 1300
    for entry in entries:
        found = options.options_of(entry.factory)
        assert all(option.description for option in found.values()), entry.name
        assert not {"architecture", "sizes"} & set(found), entry.name
        assert (entry.factory.__doc__ or "").strip(), entry.name


def test_the_same_model_has_the_same_options_under_both_names() -> None:
    catalog = installed_catalog()
    for architecture in ZOO:
        both = [catalog.entry("models", n).factory for n in (architecture.name, architecture.plain)]
        assert both[0] is both[1]


def test_the_readme_has_every_name() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| (.*) \| (\d+).* \| (\d?) ?\|$", README, re.M)
    assert [(name, plain, what, least, tier) for name, plain, what, least, tier in rows] == [
        (
            each.name,
            each.plain,
            ("*substitute*: " if each.substitute_for else "") + each.what,
            str(each.factory().sizes.least),  # type: ignore[attr-defined]
            str(each.tier or ""),
        )
        for each in ZOO
    ]


def test_a_model_takes_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's, run."""
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", README, re.S) if "one_layer" in block
    ]
    module = types.ModuleType("one_layer")
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "one_layer", module)
    catalog, [plugin] = plugins.load([EntryPoint("one-layer", "one_layer", "hpo")])
    assert plugin.error is None
    model = options.bind(catalog, "models", {"name": "one-layer", "width": 3}).build(
        InputShape(1, 4, 4, 5)
    )
    assert model(torch.zeros(2, 1, 4, 4)).shape == (2, 5) and model[1].out_features == 3
