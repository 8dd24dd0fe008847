"""References to the environment: resolved where they are used, and never written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo_core import Event, Run, SchedulerContext, references, runner
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli.lines import LinesView
from hpo_core.errors import StudyFileError
from hpo_core.references import UnresolvedReferenceError
from hpo_core.spec import StudySpec, check
from hpo_core.yaml_source import parse

CANARY = "canary-51c7e0"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_TEST_SECRET", CANARY)
    monkeypatch.setenv("HPO_TEST_SHORT", "ab")
    monkeypatch.delenv("HPO_TEST_UNSET", raising=False)


def test_references_are_resolved_wherever_they_stand() -> None:
    tree = {"a": ["x ${env:HPO_TEST_SECRET} ${env:HPO_TEST_SHORT}", 1], "b": {"c": None}}
    assert references.resolve(tree) == {"a": [f"x {CANARY} ab", 1], "b": {"c": None}}
    assert tree["a"] == ["x ${env:HPO_TEST_SECRET} ${env:HPO_TEST_SHORT}", 1]


@pytest.mark.parametrize("text", ["$HPO_TEST_SECRET", "${HPO_TEST_SECRET}", "${env:}", "${env:1}"])
def test_what_is_no_reference_is_left_alone(text: str) -> None:
    assert references.resolve(text) == text
    assert list(references.missing(text)) == []


def test_what_a_reference_stands_for_is_not_looked_through_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HPO_TEST_SHORT", "${env:HPO_TEST_SECRET}")
    assert references.resolve("${env:HPO_TEST_SHORT}") == "${env:HPO_TEST_SECRET}"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UnresolvedReferenceError, match="export HPO_TEST_UNSET=") as caught:
        references.resolve("${env:HPO_TEST_UNSET}")
    assert caught.value.exit_code == 3
    tree = {"a": ["", {"b": "${env:HPO_TEST_UNSET}"}], "c": "${env:HPO_TEST_SECRET}"}
    assert list(references.missing(tree)) == [(("a", 1, "b"), "HPO_TEST_UNSET")]


def test_a_text_is_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"token": "${env:HPO_TEST_SECRET}", "list": ["${env:HPO_TEST_SHORT}"]}
    said = f"bad token {CANARY!r}: not {CANARY}, about"
    hidden = "bad token '${env:HPO_TEST_SECRET}': not ${env:HPO_TEST_SECRET}, about"
    monkeypatch.setattr(references, "_used", set())
    assert references.conceal(said) == said  # nobody was given it
    references.resolve(tree)
    assert references.conceal(said) == hidden  # "ab" is too short to be a secret
    monkeypatch.delenv("HPO_TEST_SECRET")
    assert references.conceal(said) == said
    monkeypatch.setattr(references, "_used", set())
    monkeypatch.setenv("HPO_TEST_SECRET", CANARY)
    references.remember(tree)
    assert references.conceal(said) == hidden


# ---- through a whole study ----


def leaky(run: Run, *, x: float, y: float, token: str, extra: dict[str, Any]) -> float:
    """An objective that gets a secret, and blurts it out in one trial."""
    assert token == CANARY and extra == {"deep": [f"{CANARY}!"]}
    if run.trial.number == 1:
        raise ValueError(f"the server refused {token}")
    return x


class Sampled:
    """What the components of the driver were given."""

    tokens: list[str]


@pytest.fixture
def spec(catalog: Catalog, make_spec: Callable[..., StudySpec]) -> StudySpec:
    """A study with the secret in its objective, its trial scheduler and its storage's address."""

    def scheduler(context: SchedulerContext, *, token: str) -> Any:
        Sampled.tokens.append(token)
        return catalog.entry("trial_schedulers", "none").factory(context)

    Sampled.tokens = []
    catalog.add(Entry("objectives", "leaky", leaky, "tests", "tests"))
    catalog.add(Entry("trial_schedulers", "secretive", scheduler, "tests", "tests"))
    reference = "${env:HPO_TEST_SECRET}"
    token = f"token: '{reference}', extra: {{deep: ['{reference}!']}},"
    return make_spec(
        trials=3,
        **{
            "{name: bowl,": "{name: leaky, " + token,
            "{name: stop-above, bound: 1000000000.0}": f"{{name: secretive, token: '{reference}'}}",
            "/hpo.db": f"/hpo.db?password={reference}",
        },
    )


def test_a_secret_is_used_and_appears_nowhere(
    spec: StudySpec,
    catalog: Catalog,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    from hpo_core.storage import database

    without_query = database._url
    monkeypatch.setattr(database, "_url", lambda storage: without_query(storage).set(query={}))
    told: list[Event] = []
    view = LinesView(sys.stderr, "hpo run study.yaml")
    assert runner.run(spec, catalog, [told.append, view.on_event]) is None
    view.close()
    assert Sampled.tokens == [CANARY]
    states = [event.data["state"] for event in told if event.kind == "trial_finished"]
    assert states == ["complete", "fail", "complete"]
    reasons = [event.data["reason"] for event in told if event.kind == "trial_finished"]
    assert reasons[1] == "ValueError: the server refused ${env:HPO_TEST_SECRET}"
    captured = capsys.readouterr()
    assert "the server refused" in captured.err
    assert CANARY not in captured.err + captured.out
    assert CANARY not in json.dumps([event.to_json() for event in told])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"hpo.db", "study.yaml", "environment.json"} <= {path.name for path in files}
    for path in files:  # the database with its log, whatever tables there are
        assert CANARY.encode() not in path.read_bytes(), path


def test_a_variable_that_is_not_set_is_found_before_anything_runs(catalog: Catalog) -> None:
    text = (
        "study: s\nmetric: {name: loss, goal: minimize}\nbudget: {trials: 1}\n"
        "objective: {name: bowl, x: 1}\nsampler: random\n"
        "storage: sqlite:///${env:HPO_TEST_UNSET}/hpo.db\n"
    )
    with pytest.raises(StudyFileError) as caught:
        check(parse(text, "study.yaml"), catalog, Path("study.yaml"))
    said = str(caught.value)
    assert "study.yaml:6:" in said
    assert "the environment variable HPO_TEST_UNSET is not set" in said
