"""`hpo results`: the JSON that scripts rely on, what people see, and the errors."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from results_studies import Told, store
from sqlalchemy import text

from hpo_core import ClassReport
from hpo_core.cli import main
from hpo_core.storage import database

REPORT = ClassReport(
    ("cat", "", "car", "$x_1$"),
    (0.8, 0.7, 0.9, 1.0),
    (0.8, 0.7, 0.9, 0.5),
    (0.8, 0.7, 0.9, 0.66),
    (
        (0, 0, 8),
        (0, 1, 2),
        (1, 1, 7),
        (1, 0, 2),
        (1, 2, 1),
        (2, 2, 9),
        (2, 3, 1),
        (3, 3, 5),
        (3, 2, 5),
    ),
    {"animals": (0, 1), "vehicles": (2, 3)},
)

Hpo = Callable[..., Any]


@pytest.fixture
def hpo(
    tmp_path: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Hpo:
    """Run a command on two studies; what it printed, or the error where it has an exit code."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    monkeypatch.chdir(tmp_path)
    engine = database.open_or_create("sqlite:///hpo.db")
    told = [
        Told("cosine", 0, [0.2, 0.8, 0.9], classes={2: REPORT, 3: REPORT}),
        Told("cosine", 1, [0.2, 0.7, 0.8]),
        Told("step", 0, [0.3, 0.5, 0.4], loss=[1.0, 0.5, 2.0], lr=0.5),
        Told("step", 1, [0.1], state=TrialState.PRUNED),
        Told("constant", 0, [0.1], state=TrialState.FAIL),
        Told("constant", 1, [0.4], state=TrialState.RUNNING),
    ]
    store(engine, "shoot", told)
    store(engine, "other", [Told("cosine", 0, [0.5]), Told("cosine", 1, [0.6])])
    store(engine, "empty", [])
    engine.dispose()

    def call(*words: str, code: int = 0) -> Any:
        monkeypatch.setattr(
            sys, "argv", ["hpo", "results", *words, "--storage", "sqlite:///hpo.db"]
        )
        with pytest.raises(SystemExit) as caught:
            main.main()
        said = capsys.readouterr()
        assert (caught.value.code or 0) == code, said.err
        if code:
            return said.err
        return json.loads(said.out) if "--json" in words else said.out

    return call


def numbers(found: Any) -> list[tuple[str, int]]:
    return [(trial["study"], trial["number"]) for trial in found]


# ---- query ----


def test_a_trial_tells_its_options_its_metrics_and_its_best_epoch(hpo: Hpo) -> None:
    trial = hpo("query", "shoot", "--json")[2]
    assert trial["metrics"] == {"val_accuracy": 0.5, "val_loss": 0.5}
    assert (trial["value"], trial["best_step"], trial["epochs"], trial["state"]) == (
        0.5,
        2,
        3,
        "complete",
    )
    assert trial["params"] == {"dataset.split_seed": 0, "optimizer.lr": 0.5, "lr_scheduler": "step"}
    assert trial["options"] == {
        "objective": "image-classification",
        "epochs": 4,
        "model": "resnet18",
        "model.stem": "auto",
        "dataset": "digits",
        "dataset.split_seed": 0,
        "optimizer": "sgd",
        "optimizer.lr": 0.5,
        "lr_scheduler": "step",
        "lr_scheduler.gamma": 0.1,
    }


def test_filters_come_together(hpo: Hpo) -> None:
    def ask(*words: str) -> list[tuple[str, int]]:
        return numbers(hpo("query", *words, "--json"))

    assert len(ask()) == 8
    assert ask("--lr-scheduler", "step") == [("shoot", 2), ("shoot", 3)]
    assert ask("--model", "resnet18", "--state", "pruned", "--state", "fail") == [
        ("shoot", 3),
        ("shoot", 4),
    ]
    assert ask("--where", "val_accuracy > .55 and study = 'other'") == [("other", 1)]
    assert ask("--sort", "-value", "--limit", "2") == [("shoot", 0), ("shoot", 1)]
    assert ask("--sort", "value", "shoot")[-1] == ("shoot", 4)  # it has none
    assert ask("--dataset", "digits", "--optimizer", "sgd", "other") == [
        ("other", 0),
        ("other", 1),
    ]
    assert ask("empty") == []


def test_trials_as_they_stood_after_an_epoch(hpo: Hpo) -> None:
    first, *_ = hpo("query", "shoot", "--max-epoch", "2", "--epochs", "--json")
    assert (first["value"], first["best_step"], first["epochs"]) == (0.8, 2, 2)
    assert [point["step"] for point in first["curve"]] == [1, 2]
    assert first["curve"][0]["metrics"] == {"val_accuracy": 0.2, "val_loss": 0.8}


def test_convergence_of_each_trial(hpo: Hpo) -> None:
    trials = hpo("query", "shoot", "--convergence", "--json")
    assert trials[0]["convergence"]["to_share"] == 3
    assert trials[0]["convergence"]["area"] == pytest.approx((0.5 + 0.85) / 2)
    assert trials[2]["convergence"]["diverged"] == 3  # the loss rose from 0.5 to 2
    half = hpo("query", "shoot", "--convergence", "--share", "0.5", "--json")
    assert half[0]["convergence"]["to_share"] == 2


def test_tables_of_trials(hpo: Hpo) -> None:
    told = hpo("query", "shoot", "--convergence").splitlines()
    head = "study trial state val_accuracy epochs model lr_scheduler optimizer dataset to 95%"
    assert " ".join(told[0].split()).startswith(head)
    assert len(told) == 7
    epochs = hpo("query", "shoot", "--epochs", "--lr-scheduler", "step").splitlines()
    assert epochs[0].split() == ["study", "trial", "epoch", "val_accuracy", "val_loss"]
    assert [line.split()[1:3] for line in epochs[1:]] == [
        ["2", "1"],
        ["2", "2"],
        ["2", "3"],
        ["3", "1"],
    ]


@pytest.mark.parametrize(
    "words, said",
    [
        (["query", "shot"], "there is no study 'shot' - did you mean 'shoot'?"),
        (["query", "--state", "failed"], "there is no state 'failed' - did you mean 'fail'?"),
        (["query", "--model", "resnet81"], "no trial has the model 'resnet81' - did you mean"),
        (
            ["query", "--where", "val_lss > 1"],
            "no trial has a 'val_lss' - did you mean 'val_loss'?",
        ),
        (["query", "--sort", "-vallue"], "no trial has a 'vallue' - did you mean 'value'?"),
        (["best-schedulers", "shot"], "there is no study 'shot' - did you mean 'shoot'?"),
        (["best-schedulers", "--by", "lr_scheduler.gama"], "did you mean 'lr_scheduler.gamma'?"),
        (["best-schedulers", "--metric", "val_acc"], "reported a metric 'val_acc' - did you mean"),
        (["best-schedulers", "empty"], "there is no trial to compare"),
        (["compare", "shoot", "othr"], "did you mean 'other'?"),
        (["groups", "other"], "trial 1 of study 'other' reported nothing on classes"),
        (["groups", "empty"], "study 'empty' has no successful trial yet"),
        (["groups", "shoot", "7"], "study 'shoot' has no trial 7"),
        (["groups", "shoot", "--step", "1"], "trial 0 reported on classes after epochs 2-3"),
        (["confusions", "shot"], "did you mean 'shoot'?"),
        (["confusions", "shoot", "--png", "no/where.png"], "cannot write no/where.png"),
    ],
)
def test_what_is_not_there(hpo: Hpo, words: list[str], said: str) -> None:
    assert said in hpo(*words, code=2)


# ---- rankings and comparisons ----


def test_a_ranking(hpo: Hpo) -> None:
    (found,) = hpo("best-schedulers", "shoot", "--json")
    assert (found["by"], found["per"], found["group"]) == ("lr_scheduler", "model", "resnet18")
    assert (found["metric"], found["goal"]) == ("val_accuracy", "maximize")
    assert found["blocks"] == ["dataset.split_seed"]
    first, second, third = found["places"]
    assert (first["level"], first["reached"], first["epoch"]) == ("cosine", [3, 3], 3)
    assert first["best"] == {"mean": pytest.approx(0.85), "low": 0.8, "high": 0.9, "n": 2}
    assert (second["level"], second["epoch"], second["diverged"]) == ("step", 1, 1)
    assert (third["level"], third["failed"], third["best"]) == ("constant", 1, None)
    keys = "level runs failed reached epoch best final rank p to_share area diverged"
    assert list(first) == keys.split()
    told = hpo("best-schedulers", "shoot")
    assert told.startswith("model resnet18\n#  lr_scheduler")
    assert "note: 1 unfinished trials are left out" in told


def test_a_ranking_by_something_else(hpo: Hpo) -> None:
    (found,) = hpo("best-schedulers", "--by", "study", "--json")
    assert [place["level"] for place in found["places"]] == ["shoot", "other"]
    (found,) = hpo("best-schedulers", "shoot", "--by", "lr", "--epoch", "1", "--json")
    assert [(p["level"], p["epoch"]) for p in found["places"]] == [("0.5", 1), ("0.1", 1)]


def test_a_comparison(hpo: Hpo) -> None:
    found = hpo("compare", "shoot", "other", "--json")
    assert (found["by"], found["blocks"]) == ("study", ["dataset.split_seed"])
    (one,) = found["differences"]
    assert (one["first"], one["other"], one["epoch"], one["paired"]) == ("shoot", "other", 1, 2)
    told = hpo("compare", "cosine", "step", "--study", "shoot")
    assert "minus cosine" in told and "paired by dataset.split_seed" in told


# ---- classes ----


def test_groups_of_the_best_trial_at_its_best_epoch(hpo: Hpo) -> None:
    found = hpo("groups", "shoot", "--json")
    assert (found["study"], found["number"], found["step"], found["images"]) == ("shoot", 0, 3, 40)
    assert found["accuracy"] == pytest.approx(29 / 40)
    assert found["coarse_accuracy"] == pytest.approx(39 / 40)
    assert found["errors_within"] == pytest.approx(10 / 11)
    assert found["groups"][0] == {
        "name": "animals",
        "classes": 2,
        "support": 20,
        "micro": 0.75,
        "macro": pytest.approx(0.75),
        "coarse": 0.95,
    }
    told = hpo("groups", "shoot", "0", "--step", "2")
    assert told.startswith("trial 0 of study shoot after epoch 2, on 40 images\n")
    assert '\n""     ' in told  # the class without a name


def test_the_most_confused_pairs(hpo: Hpo) -> None:
    found = hpo("confusions", "shoot", "--top", "2", "--json")
    assert found["confusions"] == [
        {"label": "$x_1$", "predicted": "car", "images": 5, "share": 0.5, "same_group": True},
        {"label": "cat", "predicted": "", "images": 2, "share": 0.2, "same_group": True},
    ]
    assert len(hpo("confusions", "shoot").splitlines()) == 7


def test_a_database_of_an_older_hpo_has_no_reports_on_classes(hpo: Hpo) -> None:
    engine = database.open_existing("sqlite:///hpo.db")
    with database.connect(engine) as connection:
        connection.execute(text("DROP TABLE hpo_class_reports"))
    engine.dispose()
    assert "was run by an older hpo" in hpo("groups", "shoot", code=2)


# ---- PNG ----


def test_png(hpo: Hpo, tmp_path: Path) -> None:
    hpo("best-schedulers", "--png", "rank.png")
    hpo("confusions", "shoot", "--png", "confusion.png")  # with a name between dollar signs
    for name in ("rank.png", "confusion.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_png_without_matplotlib(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "hpo-core[png]" in hpo("confusions", "shoot", "--png", "x.png", code=4)
