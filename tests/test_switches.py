"""Plugins that a study or an `hpo.toml` switches off: their components do not exist, and it is said who said so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from typer.testing import CliRunner

from hpo_core import Component, Kind, plugins
from hpo_core.catalog import Catalog, Entry, UnknownNameError
from hpo_core.cli.main import app
from hpo_core.errors import PluginError, StudyFileError
from hpo_core.spec import StudySpec, checked, read
from hpo_core.testing.distributions import use_distributions, write_distribution

HPO = str(Path(sys.executable).with_name("hpo"))


def _train(run: object, *, model: Annotated[Component, Kind("models")]) -> None:
    """An objective."""


def _component(*positional: object) -> None:
    """A component."""


@pytest.fixture
def installed() -> Catalog:
    """What three plugins offer, two of them the same model."""
    offers = [
        ("objectives", "train", "core", "hpo-kernel"),
        ("samplers", "tpe", "core", "hpo-kernel"),
        ("trial_schedulers", "none", "core", "hpo-kernel"),
        ("executors", "processes", "core", "hpo-kernel"),
        ("models", "resnet", "zoo", "hpo-zoo"),
        ("models", "resnet", "nets", "hpo-nets"),
        ("models", "vgg", "nets", "hpo-nets"),
    ]
    known = frozenset((plugin, distribution) for *_, plugin, distribution in offers)
    made = Catalog(broken={"shaky": "no numpy"}, plugins=known | {("shaky", "hpo-shaky")})
    for kind, name, plugin, distribution in offers:
        made.add(
            Entry(kind, name, _train if kind == "objectives" else _component, plugin, distribution)
        )
    return made


Load = Callable[..., StudySpec]


@pytest.fixture
def load(installed: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Check a study of a model, in a folder `studies` of the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()

    def make(model: str, more: str = "", *overrides: str) -> StudySpec:
        text = "study: a\nmetric: {name: v, goal: maximize}\nbudget: {trials: 1}\n"
        text += f"objective: {{name: train, model: {model}}}\n{more}\n"
        path = Path("studies", "s.yaml")
        path.write_text(text)
        return checked(read(path, overrides), installed, path)[0]

    return make


def test_a_study_does_without_a_plugin_and_is_told_who_said_so(load: Load) -> None:
    off = "plugins:\n  disable: [nets]"
    with pytest.raises(StudyFileError) as caught:
        load("vgg", off)
    assert str(caught.value).splitlines()[0] == (
        "studies/s.yaml:4:26: objective.model: the model 'vgg' is offered by plugin 'nets', "
        "which studies/s.yaml:6 disables"
    )
    assert caught.value.exit_code == 3
    assert load("vgg", "").objective["model"] == {"name": "vgg"}


def test_a_distribution_may_be_named_instead(load: Load) -> None:
    with pytest.raises(StudyFileError, match=r"s.yaml:5 disables"):
        load("vgg", "plugins: {disable: [hpo-nets]}")


def test_an_override_may_disable_too(load: Load) -> None:
    with pytest.raises(StudyFileError, match="which an override disables"):
        load("vgg", "", "plugins.disable=[nets]")


def test_two_that_offer_the_same_clash_no_more_and_workers_are_given_the_full_name(
    load: Load, installed: Catalog
) -> None:
    with pytest.raises(
        StudyFileError, match="is offered by 'hpo-zoo:resnet' and 'hpo-nets:resnet'"
    ):
        load("resnet")
    spec = load("resnet", "plugins: {disable: [nets]}")
    assert spec.disabled == ("nets",)
    assert spec.objective["model"] == {"name": "hpo-zoo:resnet"}
    assert installed.entry("models", spec.objective["model"]["name"]).plugin == "zoo"
    assert load("hpo-zoo:resnet", "plugins: {disable: [nets]}").objective["model"] == {
        "name": "hpo-zoo:resnet"
    }


def test_two_plugins_of_one_distribution_are_told_apart_by_the_plugin(installed: Catalog) -> None:
    installed.add(Entry("models", "vgg", _train, "more-nets", "hpo-nets"))
    left = installed.without({"nets": "here"})
    assert left.full_name(left.entry("models", "vgg"), "vgg") == "more-nets:vgg"
    assert installed.entry("models", "more-nets:vgg").factory is _train


def test_an_hpo_toml_is_looked_for_beside_the_study_then_in_the_working_directory(
    load: Load, tmp_path: Path
) -> None:
    (tmp_path / "hpo.toml").write_text('# nets\n[plugins]\ndisable = [\n  "nets",\n]\n')
    with pytest.raises(StudyFileError, match=r"plugin 'nets', which hpo.toml:4 disables"):
        load("vgg")
    (tmp_path / "studies" / "hpo.toml").write_text("[plugins]\ndisable = ['zoo']\n")
    assert load("vgg").disabled == ("zoo",)
    assert load("resnet", "plugins: {disable: [shaky]}").disabled == ("shaky", "zoo")


TOML = {
    "[plugin]\ndisable = ['nets']": "hpo.toml:1:2: plugin: unknown key - did you mean 'plugins'?",
    "[plugins]\ndisabel = ['nets']": "hpo.toml:2:1: plugins.disabel: unknown key - did you mean 'disable'?",
    "[plugins]\ndisable = 'nets'": "hpo.toml:2:1: plugins.disable: disable is a list of plugins' names",
    "plugins = 3": "hpo.toml:1:1: plugins: plugins is a table: [plugins]",
    "# netz\n[plugins]\ndisable = ['zoo', 'netz']": (
        "hpo.toml:3:20: plugins.disable.1: no plugin is called 'netz' - did you mean 'nets'?"
    ),
    "[plugins": "hpo.toml:1:1: ",
}


@pytest.mark.parametrize("text", TOML)
def test_a_wrong_hpo_toml_is_refused_at_its_line(text: str, load: Load, tmp_path: Path) -> None:
    (tmp_path / "hpo.toml").write_text(text)
    with pytest.raises(StudyFileError) as caught:
        load("vgg")
    assert str(caught.value).startswith(TOML[text])
    assert caught.value.exit_code == 3


def test_one_that_is_not_utf_8_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "hpo.toml").write_bytes(b"[plugins]\ndisable = ['\xff']")
    with pytest.raises(StudyFileError, match=r"hpo.toml:1:1"):
        load("vgg")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "plugins: {disable: [netz]}",
            "plugins.disable.0: no plugin is called 'netz' - did you mean 'nets'",
        ),
        ("plugins: {disable: nets}", "plugins.disable: input should be a valid array"),
        ("plugins: {disabel: [nets]}", "plugins.disabel: unknown key - did you mean 'disable'"),
        ("plugins: [nets]", "plugins: input should be"),
        ("plugins: {disable: [3]}", "plugins.disable.0: input should be a valid string"),
    ],
)
def test_a_wrong_section_of_a_study_is_refused(more: str, said: str, load: Load) -> None:
    with pytest.raises(StudyFileError) as caught:
        load("vgg", more)
    assert said in str(caught.value)


def test_a_broken_plugin_that_is_disabled_is_not_suspected(installed: Catalog) -> None:
    with pytest.raises(UnknownNameError, match="may offer it: shaky"):
        installed.entry("models", "alexnet")
    with pytest.raises(UnknownNameError) as caught:
        installed.without({"hpo-shaky": "hpo.toml:2"}).entry("models", "alexnet")
    assert str(caught.value) == "there is no model 'alexnet'"


def test_what_is_disabled_is_not_listed(installed: Catalog) -> None:
    left = installed.without({"nets": "here"})
    assert left.names("models") == ["resnet"]
    assert [entry.plugin for entry in left.entries("models")] == ["zoo"]
    assert installed.names("models") == ["resnet", "vgg"]
    with pytest.raises(PluginError, match="is offered by plugin 'nets', which here disables"):
        left.entry("models", "hpo-nets:vgg")


OBJECTIVE = """
from typing import Annotated
from pydantic import Field
from hpo_core import hookimpl

def quick(run, *, x: float):
    run.report(1, {"loss": x, "from_a": float(__name__ == "hpo_clash_a")})

def greet():
    "Say hello."
    print("hello from", __name__)

@hookimpl
def register_objectives(register):
    register("quick", quick)

@hookimpl
def register_commands(register):
    register("greet", greet)
"""

STUDY = """\
study: clash
metric: {name: loss, goal: minimize}
budget: {trials: 2}
objective: {name: quick, x: {float: [0, 1]}}
sampler: random
executor: {name: processes, workers: 1}
"""


@pytest.fixture
def clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study whose objective two distributions offer."""
    (tmp_path / "site").mkdir()
    for name in ("hpo-clash-a", "hpo-clash-b"):
        write_distribution(tmp_path / "site", name, OBJECTIVE)
    use_distributions(monkeypatch, tmp_path / "site")
    (tmp_path / "clash.yaml").write_text(STUDY)
    return tmp_path


def hpo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HPO, *words], cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ
    )


def test_worker_processes_and_replays_use_the_plugin_that_is_left(
    clash: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clash / "hpo.toml").write_text('[plugins]\ndisable = ["hpo-clash-b"]\n')
    done = hpo(clash, "run", "clash.yaml", "--json")
    assert done.returncode == 0, done.stderr
    reports = [
        e for line in done.stdout.splitlines() if (e := json.loads(line))["event"] == "report"
    ]
    assert [report["metrics"]["from_a"] for report in reports] == [1.0, 1.0]
    monkeypatch.chdir(clash)
    assert CliRunner().invoke(app, ["replay", "clash"]).exit_code == 0
    assert "hpo-clash-b" in (clash / "runs" / "clash" / "study.yaml").read_text()


def test_plugins_list_says_which_are_disabled_and_where(
    clash: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(*words: str) -> str:
        ran = CliRunner().invoke(app, ["plugins", "list", *words])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    monkeypatch.chdir(clash)
    (clash / "hpo.toml").write_text('[plugins]\ndisable = ["hpo-clash-b"]\n')
    told = {each["name"]: each["disabled"] for each in json.loads(listed("--json"))}
    assert (told["hpo-clash-a"], told["hpo-clash-b"]) == (None, "hpo.toml:2")
    assert "disabled by hpo.toml:2" in listed()
    assert hpo(clash, "greet").stdout == "hello from hpo_clash_a\n"
    study = STUDY + "plugins: {disable: [hpo-clash-a]}\n"
    (clash / "clash.yaml").write_text(study)
    shown = json.loads(listed("--study", "clash.yaml", "--json"))
    told = {each["name"]: each["disabled"] for each in shown}
    assert (told["hpo-clash-a"], told["hpo-clash-b"]) == ("clash.yaml:7", "hpo.toml:2")


def test_the_plugins_of_this_repository_are_known_by_both_names() -> None:
    catalog, found = plugins.load()
    assert {(each.name, each.distribution) for each in found} == catalog.plugins
