"""Studies in Python: written, loaded, checked and run; what came of them."""

from __future__ import annotations

import doctest
import importlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hpo_core
from hpo_core import Choice, Component, Event, Float, Int, Model, Study, StudyResult
from hpo_core.errors import StudyFileError, UsageError
from hpo_core.study_file import DEFAULT_STORAGE

STUDIES = Path(__file__).parent.parent / "studies"


@pytest.fixture
def bowl(tmp_path: Path) -> Study:
    """A study of a function beside it, in a folder of its own."""
    (tmp_path / "bowl.py").write_text("def bowl(x):\n    return (x - 1) ** 2\n")
    return (
        Study("bowl", folder=tmp_path)
        .metric("value", "minimize")
        .budget(trials=4)
        .objective("python", call="bowl:bowl", arguments={"x": Float(-5, 5)})
        .executor("inline")
        .storage(f"sqlite:///{tmp_path}/hpo.db")
        .directory(tmp_path / "runs")
    )


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_study_file_is_a_document_and_back(path: Path) -> None:
    loaded = Study.load(path)
    document = loaded.to_dict()
    assert json.loads(json.dumps(document)) == document
    again = Study.from_dict(document, folder=path.parent)
    assert again == loaded and again.to_dict() == document
    mine, theirs = again.check()[0], loaded.check()[0]
    assert mine.identity() == theirs.identity()
    assert (mine.budget, mine.executor, mine.storage) == (
        theirs.budget,
        theirs.executor,
        theirs.storage,
    )


def test_values_of_python_are_those_of_a_study_file() -> None:
    study = Study("s").objective(
        "image-classification",
        epochs=Int(1, 9, step=2),
        dataset=Component("digits"),
        optimizer=Choice((Component("sgd", {"lr": Float(1e-4, 1.0, log=True)}), "adamw")),
        model={"name": "resnet18"},
        augmentation=Path("flip"),
    )
    assert study.to_dict()["objective"] == {
        "name": "image-classification",
        "epochs": {"int": [1, 9], "step": 2},
        "dataset": {"name": "digits"},
        "optimizer": {
            "choice": [{"name": "sgd", "lr": {"float": [1e-4, 1.0], "log": True}}, "adamw"]
        },
        "model": {"name": "resnet18"},
        "augmentation": "flip",
    }


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "objective.model"),
        ({"deep": [1, {2}]}, "objective.model.deep.1"),
        ({1: "number"}, "objective.model"),
        (float("nan"), "objective.model"),
        (float("inf"), "objective.model"),
    ],
)
def test_what_a_study_file_cannot_hold_is_refused_with_its_path(value: Any, place: str) -> None:
    with pytest.raises(UsageError, match=rf"^{place.replace('.', '[.]')}: "):
        Study("s").objective("image-classification", model=value)


def test_texts_are_taken_as_they_are() -> None:
    texts = [
        "yes",
        "1e3",
        "null",
        "a: b",
        "# no",
        "é ☃ 😀",
        'quo"te',
        "two\nlines",
        "",
        "~",
        "${env:X}",
    ]
    document = {"study": "s", "x-texts": texts, "x-keys": {text: 1 for text in texts}}
    assert Study.from_dict(document).to_dict() == document


def test_each_method_gives_another_study() -> None:
    first = Study("s").budget(trials=3)
    second = first.budget(trials=4)
    assert first.to_dict()["budget"]["trials"] == 3 and second.to_dict()["budget"]["trials"] == 4
    assert first != second and first == second.budget(trials=3)


def test_an_error_shows_what_python_wrote(bowl: Study) -> None:
    wrong = bowl.budget(trials=0).sampler("tpee")
    with pytest.raises(StudyFileError) as raised:
        wrong.check()
    assert str(raised.value).splitlines() == [
        "override:1:9: budget.trials: input should be greater than or equal to 1, got 0",
        '    budget={"trials": 0}',
        "            ^",
        "override:1:10: sampler.name: there is no sampler 'tpee' - did you mean 'tpe'?",
        '    sampler={"name": "tpee"}',
        "             ^",
    ]


def test_an_error_of_a_file_keeps_its_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = (
        (STUDIES / "branin.yaml")
        .read_text()
        .replace("sampler: {name: tpe}", "sampler: {name: tpx}")
    )
    path.write_text(text)
    line = text.splitlines().index("sampler: {name: tpx}") + 1
    with pytest.raises(StudyFileError, match=rf"study\.yaml:{line}:"):
        Study.load(path).budget(trials=3).check()


def test_a_method_for_every_key_of_a_study_file() -> None:
    from hpo_core.options import options_of
    from hpo_core.study_file import study_file

    assert {name for name in options_of(study_file) if name != "study"} <= set(dir(Study))


def test_runs_and_continues_to_the_same_total(bowl: Study) -> None:
    told: list[Event] = []
    result = bowl.monitor(told.append).run(allow_code=True)
    assert result.counts["complete"] == 4 == result.target and result.exit_code == 0
    assert [event.kind for event in told].count("trial_finished") == 4
    assert result.best is not None
    values = [row.value for row in result.trials()]
    assert result.best.value == min(value for value in values if value is not None)
    assert result.best.value == (result.best.params["arguments.x"] - 1) ** 2
    assert bowl.run(allow_code=True) == result == StudyResult.read("bowl", result.storage)
    more = bowl.run(more=2, allow_code=True)
    assert more.counts["complete"] == 6 == more.target and result.refreshed() == more


def test_a_result_is_a_document_and_back(bowl: Study) -> None:
    result = bowl.run(allow_code=True)
    document = json.loads(json.dumps(result.to_dict()))
    again = StudyResult.from_dict(document)
    assert again == result and again.trials() == result.trials()


def test_a_password_is_not_in_what_is_written_down(bowl: Study) -> None:
    from dataclasses import replace

    result = replace(
        bowl.run(allow_code=True), storage="postgresql+psycopg://me:secret@host/database"
    )
    assert "secret" not in json.dumps(result.to_dict()) + repr(result)
    by_reference = replace(result, storage="postgresql+psycopg://me:${env:WORD}@host/database")
    assert by_reference.to_dict()["storage"] == by_reference.storage


def test_user_code_needs_a_word(bowl: Study) -> None:
    with pytest.raises(hpo_core.HpoError):
        bowl.run()


def test_what_is_not_there_is_said(bowl: Study, tmp_path: Path) -> None:
    result = bowl.run(allow_code=True)
    assert result.checkpoint is None and result.model_version is None and result.model is None
    for use in (lambda: result.predict(["x.png"]), lambda: result.export(tmp_path / "to")):
        with pytest.raises(UsageError, match="no model of study 'bowl' was registered"):
            use()
    with pytest.raises(UsageError, match="did you mean 'bowl'"):
        StudyResult.read("bowll", result.storage)
    with pytest.raises(UsageError, match="no model"):
        Model.load("none", result.storage)


def test_an_observer_that_raises_ends_the_run_and_loses_nothing(bowl: Study) -> None:
    def observe(event: Event) -> None:
        if event.kind == "trial_finished":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        bowl.monitor(observe).run(allow_code=True)
    assert bowl.run(allow_code=True).counts["complete"] == 4


def test_runs_in_another_thread(bowl: Study) -> None:
    """Which signals do not reach: those of the program stay as they are."""
    before = signal.getsignal(signal.SIGINT)
    results: list[StudyResult] = []
    seen: list[Any] = []

    def run() -> None:
        watched = bowl.monitor(lambda _: seen.append(signal.getsignal(signal.SIGINT)))
        results.append(watched.run(allow_code=True))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert results and results[0].counts["complete"] == 4
    assert set(seen) == {before}


def test_a_signal_is_told_and_the_same_call_continues(bowl: Study) -> None:
    said: list[str] = []

    def interrupt(event: Event) -> None:
        if event.kind == "trial_finished":
            signal.raise_signal(signal.SIGINT)

    result = bowl.monitor(interrupt).run(allow_code=True, on_interrupt=said.append)
    assert result.stopped_by == "SIGINT" and result.exit_code == 130 and said == ["SIGINT"]
    assert 0 < result.counts["complete"] < 4
    assert bowl.run(allow_code=True).counts["complete"] == 4


def test_all_that_is_configured_is_called(
    bowl: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trackers, checkpoints, a monitor, the registry and the optimizer do something during a run."""
    called: set[str] = set()

    def spied(module: str, name: str) -> None:
        owner = importlib.import_module(module)
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part)
        method: Callable[..., Any] = getattr(owner, name.split(".")[-1])

        def spy(*args: Any, **options: Any) -> Any:
            called.add(name)
            return method(*args, **options)

        monkeypatch.setattr(owner, name.split(".")[-1], spy)

    spied("hpo_core.tracking", "Trackers.on_report")
    spied("hpo_core.runner", "register_best")
    spied("hpo_core.proposing", "Proposer.propose")
    spied("hpo_core.stores", "check")
    (tmp_path / "saving.py").write_text(
        "def bowl(x, run):\n"
        "    with run.checkpoint(1) as folder:\n"
        "        (folder / 'model.safetensors').write_bytes(b'x')\n"
        "    run.report(1, {'value': x})\n"
    )
    seen: list[Event] = []
    result = (
        bowl.objective("python", call="saving:bowl", arguments={"x": Float(-5, 5)})
        .checkpoints(tmp_path / "elsewhere")
        .trackers("csv")
        .register("bowl")
        .monitor(seen.append)
        .run(allow_code=True)
    )
    assert called == {
        "Trackers.on_report",
        "register_best",
        "Proposer.propose",
        "check",
    }
    assert seen and result.model_version == "bowl@1"
    assert result.checkpoint is not None and Path(result.checkpoint).is_relative_to(
        tmp_path / "elsewhere"
    )
    model = Model.load("bowl", result.storage)
    assert result.model == model and model.version.trial == result.best.number  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="'python', which made bowl@1, cannot predict"):
        model.predict(["x.png"])


def test_importing_the_package_loads_nothing_of_it_yet() -> None:
    code = (
        "import sys, hpo_core; before = 'sqlalchemy' in sys.modules; hpo_core.Study;"
        "print(before, 'torch' in sys.modules, 'optuna' in sys.modules, hpo_core.Study.__module__)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.split() == ["False", "False", "False", "hpo_core.facade.study"]
    with pytest.raises(AttributeError, match="no attribute 'Studdy'"):
        hpo_core.Studdy  # type: ignore[attr-defined]  # noqa: B018


def test_doctests_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(STUDIES.parent)
    module = importlib.import_module("hpo_core.facade.study")
    found = doctest.testmod(
        module, extraglobs={"folder": tmp_path}, optionflags=doctest.ELLIPSIS, raise_on_error=False
    )
    assert found.failed == 0 and found.attempted >= 6


def test_the_default_storage_is_that_of_study_files() -> None:
    spec, _ = Study.load(STUDIES / "resnet_lr.yaml").check()
    assert spec.storage == DEFAULT_STORAGE
