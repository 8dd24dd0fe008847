"""`hpo plugins` and `hpo list`: what they tell of a plugin made for the test, a broken one beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from hpo_core import Component, Kind, PluginError, hookimpl, plugins
from hpo_core.cli import catalog_commands
from hpo_core.errors import UsageError


def tiny_net(
    shape: Any,
    *,
    width: Annotated[int, Field(ge=1, le=64, description="Channels of the first layer.")],
    rate: Annotated[float | None, Field(gt=0, lt=1, description="Dropout.")] = None,
    mode: Annotated[Literal["a", "b"], Field(description="Which\x1b way.")] = "a",
    sizes: Annotated[list[int], Field(min_length=1, description="Kernels.")] = [3],  # noqa: B006
    then: Annotated[Component, Kind("lr_schedulers")] = Component("step", {"gamma": 0.5}),
) -> None:
    """A very small network.

    For tests.
    """


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("tiny_plugin")

    @hookimpl
    def register_models(register: Any) -> None:
        register("tiny-net", tiny_net)
        register("lost-net", "no_such_module_of_hpo:net")
        register("plain-net", lambda shape: None)

    module.register_models = register_models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiny_plugin", module)
    points = [
        EntryPoint("broken", "no_such_module_of_hpo", "hpo"),
        EntryPoint("tiny", "tiny_plugin", "hpo"),
    ]
    monkeypatch.setattr(plugins, "installed", lambda: points)


def out(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_plugins_alone_lists_them() -> None:
    ran = CliRunner().invoke(catalog_commands.app, [])
    assert ran.exit_code == 0
    assert "tiny    ?             ?        3 models" in ran.stdout.splitlines()
    assert "BROKEN: ModuleNotFoundError: No module named 'no_such_module_of_hpo'" in ran.stdout


def test_plugins_as_json() -> None:
    ran = CliRunner().invoke(catalog_commands.app, ["list", "--json"])
    broken, tiny = json.loads(ran.stdout)
    assert broken["error"].startswith("ModuleNotFoundError") and broken["offers"] == {}
    assert tiny["offers"] == {"models": ["lost-net", "plain-net", "tiny-net"]}
    assert CliRunner().invoke(catalog_commands.app, ["--json"]).stdout == ran.stdout


def test_show_a_component(capsys: pytest.CaptureFixture[str]) -> None:
    catalog_commands.show("tiny-net")
    lines = out(capsys).splitlines()
    assert lines[:4] == [
        "model tiny-net  (plugin tiny, ?)",
        "  A very small network.",
        "",
        "  For tests.",
    ]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[4:]]
    assert cells == [
        ["option", "type", "bounds", "default", "description"],
        ["width", "integer", ">= 1, <= 64", "required", "Channels of the first layer."],
        ["rate", "number | null", "> 0, < 1", "null", "Dropout."],
        ["mode", '"a" | "b"', '"a"', "Which? way."],
        ["sizes", "list of integer", "at least 1 items", "[3]", "Kernels."],
        ["then", "LR scheduler", '{"name": "step", "gamma": 0.5}'],
    ]


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    catalog_commands.show("tiny-net", json=True)
    (document,) = json.loads(out(capsys))
    assert (document["kind"], document["plugin"]) == ("models", "tiny")
    assert document["options"][0] == {
        "name": "width",
        "type": "integer",
        "bounds": ">= 1, <= 64",
        "required": True,
        "default": None,
        "description": "Channels of the first layer.",
        "search": None,
    }


def test_show_a_component_without_options(capsys: pytest.CaptureFixture[str]) -> None:
    catalog_commands.show("plain-net")
    assert out(capsys).splitlines() == ["model plain-net  (plugin tiny, ?)", "  no options"]


def test_show_a_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    catalog_commands.show("tiny")
    assert "  models: lost-net, plain-net, tiny-net\n" in out(capsys)
    catalog_commands.show("broken")
    assert "  BROKEN: ModuleNotFoundError" in out(capsys)


def test_show_what_cannot_be_imported() -> None:
    with pytest.raises(PluginError, match="model 'lost-net' of plugin 'tiny'"):
        catalog_commands.show("lost-net")


def test_show_what_is_not_there() -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny-net'"):
        catalog_commands.show("tiny_nett")


def test_list_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    catalog_commands.list_kind("model")
    lines = out(capsys).splitlines()
    assert lines[1].startswith("lost-net   tiny    BROKEN: model 'lost-net' of plugin 'tiny'")
    assert lines[3] == "tiny-net   tiny    A very small network."
    catalog_commands.list_kind("models", json=True)
    documents = json.loads(out(capsys))
    assert [document["name"] for document in documents] == ["lost-net", "plain-net", "tiny-net"]
    assert "error" in documents[0] and "options" not in documents[0]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("lr-scheduler", "lr_schedulers"),
        ("LR_SCHEDULERS", "lr_schedulers"),
        ("sampler", "samplers"),
        ("loss", "losses"),
        ("losses", "losses"),
        ("trial-schedulers", "trial_schedulers"),
    ],
)
def test_a_kind_may_be_written_in_several_ways(word: str, kind: str) -> None:
    assert catalog_commands.kind_called(word) == kind


@pytest.mark.parametrize(("word", "hint"), [("modls", "models"), ("smaplers", "samplers")])
def test_an_unknown_kind_gets_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{hint}'"):
        catalog_commands.kind_called(word)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom hpo_core.cli import catalog_commands, dashboard, doctor\n"
        "catalog_commands.list_plugins()\n"
        "heavy = {'torch', 'optuna', 'ray', 'timm', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ})


@pytest.mark.parametrize("words", [["list", "models"], ["list", "samplers"]])
def test_who_reads_may_stop(words: list[str]) -> None:
    """`hpo list models | head`, with more and with less to say than a pipe holds."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        hpo = Path(sys.executable).with_name("hpo")
        ran = subprocess.run([hpo, *words], stdout=closed, stderr=subprocess.PIPE, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, b"")
