"""`hpo validate`, `hpo run` and `hpo init`: what the command line adds to the runner."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo_core import Run, plugins
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli import main, view
from hpo_core.cli.running import again

STUDY = """\
study: bowl
metric: {name: loss, goal: minimize}
budget: {trials: 3}
seed: 3
objective: {name: bowl, x: {float: [-10, 10]}, y: {choice: [0.5, 1.5]}, epochs: {int: [1, 4]}}
sampler: random
storage: sqlite:///hpo.db
"""

Hpo = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hpo(
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    empty_database: Path,
) -> Hpo:
    """Run a command in this process, with the tests' catalog and `study.yaml` in a folder of its own."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "load", lambda: (catalog, []))
    monkeypatch.setitem(os.environ, "TERM", "dumb")
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "__all__")

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hpo", *words])
        with pytest.raises(SystemExit) as caught:
            main.main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


def test_a_fine_file_is_said_to_be_fine(hpo: Hpo) -> None:
    assert hpo("validate", "study.yaml") == (
        0,
        "",
        "study.yaml: study 'bowl' is fine (3 parameters are searched)\n",
    )


@pytest.mark.parametrize("command", ["validate", "run"])
def test_every_problem_is_told_with_its_place(hpo: Hpo, command: str) -> None:
    code, out, err = hpo(command, "study.yaml", "seeed=1", "budget.trials=0")
    assert (code, out) == (3, "")
    assert "did you mean 'seed'?" in err and "budget.trials" in err
    assert not err.startswith("error:") and "Traceback" not in err
    assert ("2 problems" in err) == (command == "validate")
    assert not Path("runs").exists()


def test_no_view_is_opened_for_a_wrong_file(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would move the cursor of a terminal to say nothing."""
    opened: list[object] = []
    monkeypatch.setattr(view, "choose", lambda **how: opened.append(how))
    assert hpo("run", "study.yaml", "budget.trials=0")[0] == 3 and opened == []


def test_one_problem_is_one_problem(hpo: Hpo) -> None:
    assert hpo("validate", "study.yaml", "seed=-1")[2].endswith("1 problem\n")


def test_a_run_tells_people_on_stderr(hpo: Hpo) -> None:
    code, out, err = hpo("run", "study.yaml")
    assert (code, out) == (0, "")
    assert "trial 2 complete" in err and "[3/3" in err
    again = hpo("run", "study.yaml")
    assert again[0] == 0 and "nothing left to run" in again[2]


def test_a_run_tells_programs_one_event_a_line(hpo: Hpo) -> None:
    code, out, _ = hpo("run", "study.yaml", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert all(list(event)[:2] == ["event", "seq"] for event in events)
    assert events[-1]["event"] == "study_finished"


def test_overrides_workers_and_storage_are_short_for_the_file(
    hpo: Hpo, catalog: Catalog, tmp_path: Path
) -> None:
    taken: list[int] = []

    def busy(*, workers: int = 1) -> object:
        taken.append(workers)
        return catalog.entry("executors", "processes").factory()

    catalog.add(Entry("executors", "busy", busy, "tests", "tests"))
    words = ("executor=busy", "budget.trials=1", "--workers", "5", "--storage", "sqlite:///b.db")
    code, _, err = hpo("run", "study.yaml", *words)
    assert code == 0, err
    assert taken == [5]
    assert (tmp_path / "b.db").is_file()
    assert "[1/1" in err


def test_more_and_fresh(hpo: Hpo) -> None:
    assert hpo("run", "study.yaml")[0] == 0
    assert "[5/5" in hpo("run", "study.yaml", "--more", "2")[2]
    assert "[3/3" in hpo("run", "study.yaml", "--fresh")[2]
    names = [
        study["study"]
        for study in json.loads(hpo("status", "--json", "--storage", "sqlite:///hpo.db")[1])
    ]
    assert names == ["bowl", "bowl.1"]


def test_changed_settings_are_a_usage_error(hpo: Hpo) -> None:
    hpo("run", "study.yaml")
    code, _, err = hpo("run", "study.yaml", "seed=4")
    assert code == 2 and "seed: 3 became 4" in err and "error: study 'bowl'" in err


def test_a_changed_range_has_to_be_accepted(hpo: Hpo) -> None:
    hpo("run", "study.yaml")
    wider = ("run", "study.yaml", "objective.x={float: [-10, 9]}", "--more", "1")
    code, out, err = hpo(*wider)
    assert (code, out) == (2, "")
    assert 'objective.x: {"float": [-10, 10]} became {"float": [-10, 9]}' in err
    assert "--accept-changes" in err
    code, _, err = hpo(*wider, "--accept-changes")
    assert code == 0
    assert 'changed   objective.x: {"float": [-10, 10]} became {"float": [-10, 9]}' in err
    assert "[4/4" in err


def test_more_trials_need_a_budget_of_trials(hpo: Hpo) -> None:
    code, _, err = hpo("run", "study.yaml", "budget={epochs: 5}", "--more", "1")
    assert code == 2 and "--more adds trials" in err


def test_a_budget_of_epochs_is_kept_and_told(hpo: Hpo) -> None:
    code, _, err = hpo("run", "study.yaml", "budget={epochs: 5}", "objective.epochs=2")
    assert code == 0
    assert (
        "done (the budget of 5 epochs is used): 3 trials, 5/5 epochs (2 complete, 1 pruned)" in err
    )
    (study,) = json.loads(hpo("status", "--json", "--storage", "sqlite:///hpo.db")[1])
    assert study["target"] is None and study["trials"]["complete"] == 2
    assert "bowl   3     2" in hpo("status", "--storage", "sqlite:///hpo.db")[1]


def test_ctrl_c_says_what_happens_and_how_to_continue(hpo: Hpo, catalog: Catalog) -> None:
    def interrupting(run: Run, *, x: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        run.report(1, {"loss": x})

    catalog.add(Entry("objectives", "interrupting", interrupting, "tests", "tests"))
    override = "objective={name: interrupting, x: 1.0}"
    code, _, err = hpo("run", "study.yaml", override, "--more", "2")
    assert code == 130
    assert "stopping after the running epochs (Ctrl-C again to stop now)" in err
    assert err.splitlines()[-1].endswith(f"hpo run study.yaml '{override}'")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/bin/hpo", "run", "s.yaml"], "hpo run s.yaml"),
        (["hpo", "run", "s.yaml", "--more", "3", "--fresh", "a b=1"], "hpo run s.yaml 'a b=1'"),
        (["hpo", "run", "s.yaml", "--accept-changes", "--json"], "hpo run s.yaml --json"),
        (["hpo", "run", "--more=3", "s.yaml", "--workers", "2"], "hpo run s.yaml --workers 2"),
    ],
)
def test_what_must_happen_once_is_not_said_again(words: list[str], expected: str) -> None:
    assert again(words) == expected


# ---- without running ----


def test_a_dry_run_shows_what_would_run_and_leaves_nothing(hpo: Hpo, tmp_path: Path) -> None:
    storage = "postgresql://me:canary@host/db"
    code, out, _ = hpo("run", "study.yaml", "--dry-run", "--json", "--storage", storage)
    told = json.loads(out)
    assert code == 0
    assert (told["study"], told["budget"]["trials"], told["seed"]) == ("bowl", 3, 3)
    assert told["storage"] == "postgresql://me:***@host/db"
    assert told["plugins"] == dict.fromkeys(["bowl", "random", "none", "processes"], "tests")
    assert list(told["parameters"]) == ["x", "y", "epochs"]
    for sample in told["samples"]:
        assert -10 <= sample["x"] <= 10 and sample["y"] in (0.5, 1.5)
        assert sample["epochs"] in (1, 2, 3, 4)
    assert {path.name for path in tmp_path.iterdir()} == {"hpo.db", "study.yaml"}
    assert "study: bowl\n" in hpo("run", "study.yaml", "--dry-run")[1]


def test_samples_of_a_dry_run_reach_both_ends(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo_core.cli import preview

    monkeypatch.setattr(preview, "SAMPLES", 60)
    space = (
        "objective={name: bowl, x: {float: [0.0, 0.3], step: 0.1}, "
        "epochs: {int: [1, 7], step: 3}, y: {float: [0.001, 1.0], log: true}}"
    )
    samples = json.loads(hpo("run", "study.yaml", space, "--dry-run", "--json")[1])["samples"]
    assert {sample["epochs"] for sample in samples} == {1, 4, 7}
    assert {round(sample["x"], 6) for sample in samples} == {0.0, 0.1, 0.2, 0.3}
    assert all(0.001 <= sample["y"] <= 1.0 for sample in samples)
    logs = json.loads(
        hpo(
            "run", "study.yaml", "objective.epochs={int: [1, 9], log: true}", "--dry-run", "--json"
        )[1]
    )
    assert all(type(s["epochs"]) is int and 1 <= s["epochs"] <= 9 for s in logs["samples"])


def test_init_writes_a_study_and_its_schema_once(hpo: Hpo, tmp_path: Path) -> None:
    code, out, err = hpo("init", "new/my study.yaml")
    assert (code, out) == (0, "")
    assert "next: hpo run 'new/my study.yaml'\n" in err
    text = (tmp_path / "new" / "my study.yaml").read_text()
    assert "study: my-study " in text
    assert json.loads((tmp_path / "new" / "hpo.schema.json").read_text())["type"] == "object"
    (tmp_path / "new" / "my study.yaml").write_text("mine")
    code, _, err = hpo("init", "new/my study.yaml")
    assert code == 2 and "is there already" in err
    assert (tmp_path / "new" / "my study.yaml").read_text() == "mine"


def test_the_schema_is_printed(hpo: Hpo) -> None:
    assert json.loads(hpo("schema")[1])["properties"]["study"]


def test_version_and_traceback(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hpo("--version")[:2] == (0, "0.1.0\n")
    assert hpo("--help")[0] == 0
    monkeypatch.setenv("HPO_TRACEBACK", "1")
    code, _, err = hpo("status", "--storage", "sqlite:///none.db")
    assert code == 5 and "Traceback" in err


def test_ctrl_c_outside_of_a_run(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plugins, "load", interrupted)
    assert hpo("validate", "study.yaml")[0] == 130
