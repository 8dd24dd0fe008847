"""What optuna-dashboard is to show of a study's best trial: read back as the dashboard reads it, in a browser too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

from hpo_core import ClassReport
from hpo_core.cli import dashboard, main
from hpo_core.results import class_files, user_plots
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import database
from hpo_core.storage import user_plots as stored
from hpo_core.storage.artifacts import Artifacts

CODE = """
from hpo_core import ClassReport

def report(run, quality, classes):
    for step in (1, 2):
        right = int(10 * quality * step / 2)
        names = tuple(f"class {index}" for index in range(classes))
        numbers = (right / 10,) * classes
        confusion = []
        for index in range(classes):
            confusion += [(index, index, right), (index, (index + 1) % classes, 10 - right)]
        said = ClassReport(names, numbers, numbers, numbers, tuple(confusion)) if classes else None
        metrics = {"val_accuracy": right / 10 - quality / 1000, "val_loss": 1.0 / step}
        run.report(step, metrics, said)
"""
STUDY = """
study: shown
metric: {name: val_accuracy, goal: maximize}
budget: {trials: 8}
objective:
  name: python
  call: shown:report
  arguments: {quality: {float: [0.2, 0.9]}, classes: CLASSES}
executor: inline
sampler: random
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, classes: int, *more: str) -> optuna.Study:
    """Run a study in this process; it as Optuna reads it."""
    monkeypatch.chdir(folder)
    Path("shown.py").write_text(CODE)
    Path("study.yaml").write_text(STUDY.replace("CLASSES", str(classes)))
    monkeypatch.setattr(sys, "argv", ["hpo", "run", "study.yaml", "--allow-code", *more])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert not caught.value.code
    return optuna.load_study(study_name="shown", storage="sqlite:///runs/hpo.db")


def plots(study: optuna.Study) -> dict[str, Any]:
    """The user plots, put together as optuna-dashboard does."""
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    attributes = study._storage.get_study_system_attrs(study._study_id)
    return {name: json.loads(text) for name, text in get_plotly_graph_objects(attributes).items()}


def artifacts(study: optuna.Study) -> list[dict[str, Any]]:
    """The files that the study names, as optuna-dashboard reads them."""
    attributes = study._storage.get_study_system_attrs(study._study_id)
    return [json.loads(text) for key, text in attributes.items() if key.startswith("artifacts:")]


def test_the_best_trial_is_shown_with_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = run(tmp_path, monkeypatch, 3)
    best = study.best_trial
    shown = plots(study)
    assert set(shown) == {user_plots.CURVES, user_plots.CONFUSION}
    heat = shown[user_plots.CONFUSION]["data"][0]
    right = round(10 * best.user_attrs["acc/class 0"])
    assert heat["text"][0] == [right, 10 - right, 0]
    assert heat["z"][0] == pytest.approx([right / 10, 1 - right / 10, 0])
    assert heat["x"] == ["class 0", "class 1", "class 2"]
    assert f"({best.number}), epoch 2" in shown[user_plots.CONFUSION]["layout"]["title"]["text"]
    curve = shown[user_plots.CURVES]["data"][0]
    assert (curve["name"], curve["x"]) == ("val_accuracy", [1, 2])
    assert curve["y"] == pytest.approx(list(best.intermediate_values.values()))
    kept = {each["filename"]: each for each in artifacts(study)}
    assert set(kept) == {"confusion_matrix.svg", "per_class.csv", "learning_curves.csv"}
    store = Artifacts(lambda: [Path("runs/shown")])
    with store.open_reader(kept["per_class.csv"]["artifact_id"]) as file:
        head, first, *_ = file.read().decode().splitlines()
    assert head == "class,images,predicted,precision,recall,f1"
    assert first.startswith(f"class 0,10,10,{right / 10}")
    with store.open_reader(kept["confusion_matrix.svg"]["artifact_id"]) as file:
        assert len(ElementTree.parse(file).findall(".//{*}rect")) == 1 + 9
    recalls = {key: v for key, v in best.user_attrs.items() if key.startswith("acc/")}
    assert recalls == {f"acc/class {index}": right / 10 for index in range(3)}


def test_only_trials_that_were_the_best_so_far_have_attributes_of_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = run(tmp_path, monkeypatch, 3)
    best, leading = -1.0, []
    for trial in study.trials:
        assert trial.value is not None
        if trial.value >= best:
            leading.append(trial.number)
            best = trial.value
    having = [trial.number for trial in study.trials if "acc/class 0" in trial.user_attrs]
    assert having == leading and len(leading) < len(study.trials)
    more = run(tmp_path, monkeypatch, 3, "--more", "4")  # a new driver knows who leads
    later = [t.number for t in more.trials[8:] if "acc/class 0" in t.user_attrs]
    assert all((more.trials[number].value or 0) >= best for number in later)
    assert len(more.trials) == 12
    before = {each["filename"]: each["artifact_id"] for each in artifacts(study)}
    assert before == {each["filename"]: each["artifact_id"] for each in artifacts(more)}
    assert len(list(Path("runs/shown/artifacts").iterdir())) == 3


def test_many_classes_become_no_attributes_and_none_at_all_no_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, none = tmp_path / "many", tmp_path / "none"
    for folder, classes in ((many, 21), (none, 0)):
        folder.mkdir()
        study = run(folder, monkeypatch, classes)
        assert not any(key.startswith("acc/") for t in study.trials for key in t.user_attrs)
        assert (user_plots.CONFUSION in plots(study)) == bool(classes)
        assert user_plots.CURVES in plots(study)


def test_a_shorter_figure_leaves_nothing_of_a_longer_one() -> None:
    study = optuna.create_study()
    figure = {"data": [], "layout": {"title": {"text": "x" * 9000}}}
    stored.put(study, "plot", figure)
    assert plots(study) == {"plot": figure} and stored.has(study, "plot")
    stored.put(study, "plot", {"data": []})
    assert plots(study) == {"plot": {"data": []}} and not stored.has(study, "other")


def report(names: tuple[str, ...]) -> ClassReport:
    numbers = (1.0,) * len(names)
    return ClassReport(
        names, numbers, numbers, numbers, tuple((i, i, 5) for i in range(len(names)))
    )


def test_labels_can_be_shown_anywhere() -> None:
    names = ("a\x00b", "a?b", "", "\ud800", "x" * 99, "x" * 98, "a?b (1)")
    labels = report(names).labels()
    assert labels[:4] == ["a?b", "a?b (1)", "(2)", "?"] and labels[6] == "a?b (1) (6)"
    assert len(set(labels)) == 7 and "".join(labels).isprintable()
    assert len(class_files.per_class(report(names)).encode().splitlines()) == 8


def test_names_are_escaped_shortened_and_told_apart() -> None:
    names = ("<a href='javascript:x'>", "", "n" * 40, "n" * 41, "3")
    figure = user_plots.confusion(report(names), 1, 1)
    assert figure is not None
    shown = figure["data"][0]["x"]
    assert shown[0].startswith("&lt;a") and shown[1] == "(1)" and shown[4] == "3"
    assert len(set(shown)) == 5 and all(len(name) <= 40 for name in shown)
    assert figure["layout"]["xaxis"]["type"] == "category"  # or `3` would be a number
    assert user_plots.confusion(report(tuple(map(str, range(101)))), 1, 1) is None


@pytest.mark.parametrize("name", ["../../hpo.db", "/etc/passwd", "x", "{0}", "0" * 32])
def test_an_artifact_is_nothing_but_a_file_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "artifacts").mkdir()
    with pytest.raises(ArtifactNotFound):
        Artifacts(lambda: [tmp_path]).open_reader(name)


def test_a_dashboard_that_was_there_before_the_study_shows_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = database.open_or_create(f"sqlite:///{tmp_path}/runs/hpo.db")
    storage = dashboard.open_storage(f"sqlite:///{tmp_path}/runs/hpo.db", write=False)
    store = dashboard._artifacts(storage)
    study = run(tmp_path, monkeypatch, 3)
    number = artifacts(study)[0]["artifact_id"]
    assert store is not None
    with store.open_reader(number) as file:
        assert file.read()
    storage.engine.dispose()
    shown.dispose()


def test_the_files_hold_names_as_text() -> None:
    hostile = report(("<script>", "=1+1", "a,b"))
    svg = class_files.confusion(hostile, "<b>")
    assert "<script>" not in svg and ElementTree.fromstring(svg).tag.endswith("svg")
    rows = class_files.per_class(hostile).splitlines()
    assert rows[2].startswith("'=1+1,") and rows[3].startswith('"a,b",')


def test_long_curves_are_thinned_and_have_gaps_where_they_were_not_finite() -> None:
    curve = {step: float(step) for step in range(1, 1001)} | {1: float("nan")}
    trial = ResultTrial(
        *("made", "m", "maximize", 3, "complete", 1.0, 1000, 1000, 1, None, "", {}, {}, {}),
        curves={"m": curve, "loss": curve, "lr": curve},
    )
    figure = user_plots.curves(trial)
    first = figure["data"][0]
    assert [each["name"] for each in figure["data"]] == ["m", "loss"]
    assert first["x"][0] == 1 and first["x"][-1] == 1000 and len(first["x"]) <= 202
    assert first["y"][0] is None
    json.dumps(figure, allow_nan=False)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.slow
@pytest.mark.skipif(
    CHROMIUM is None or "HPO_TEST_BROWSER" not in os.environ,
    reason="it takes a Chromium, and HPO_TEST_BROWSER=1",
)
def test_a_browser_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, 3)
    code = "import typer; from hpo_core.cli.dashboard import dashboard; typer.run(dashboard)"
    words = [sys.executable, "-c", code, "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            address = server.stderr.readline().split()[0]
            page = dumped(f"{address}/studies/1", tmp_path)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    for text in ("History", "Hyperparameter Importance", "Intermediate values", "Best Trial"):
        assert text in page
    assert "Confusion matrix of the best trial" in page
    assert "Learning curves of the best trial" in page
    assert "confusion_matrix.svg" in page and "per_class.csv" in page


def dumped(url: str, folder: Path) -> str:
    """The page as it is when its scripts have run; they take their time on a busy machine."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser"]
    end, page = time.monotonic() + 120, ""
    while "Confusion matrix" not in page and time.monotonic() < end:
        done = subprocess.run(
            [CHROMIUM, *options, "--virtual-time-budget=20000", "--dump-dom", url],
            capture_output=True,
            text=True,
            timeout=120,
        )
        page = done.stdout
    return page
