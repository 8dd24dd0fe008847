"""`hpo why`: a trial is explained by its events alone, and the words say what happened; `hpo replay`'s front end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpo_core import (
    CONTINUE,
    Decision,
    Event,
    Outcome,
    Report,
    Run,
    Trial,
    TrialScheduler,
    runner,
)
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli import main, why
from hpo_core.explanation import ABOUT_STUDY, Explanation, explain
from hpo_core.scheduling import Clone, Next, Resume, Start, Wait
from hpo_core.spec import StudySpec

MakeSpec = Callable[..., StudySpec]
Hpo = Callable[..., tuple[int, str, str]]

START = {"sampler": "tpe", "trial_scheduler": "asha", "metric": "loss"}


@dataclass
class Story:
    """Makes events, a second apart."""

    events: list[Event] = field(default_factory=list)

    def say(self, kind: str, trial: int | None = None, **data: Any) -> Story:
        seq = len(self.events)
        self.events.append(Event(seq, kind, 100.0 + seq, trial, data))
        return self

    def begin(self, trial: int, attempt: int = 1, origin: str = "new", **data: Any) -> Story:
        common = {"attempt": attempt, "params": {"x": 0.5}, "epochs": 9, "origin": origin}
        return self.say("trial_started", trial, **common, **data)

    def report(self, trial: int, step: int, folder: Path | None = None, **data: Any) -> Story:
        said = {"attempt": 1, "step": step, "metrics": {"loss": 1 / step}, "value": 1 / step}
        said |= {"decision": "continue", "reason": "", "by": "scheduler"}
        if folder is not None:
            path = str(folder / f"step-{step}")
            said["checkpoint"] = {"step": step, "path": path, "sha256": "ab"}
        return self.say("report", trial, **(said | data))

    def explain(self, trial: int) -> Explanation:
        own = [event for event in self.events if event.trial == trial]
        return explain([event for event in self.events if event.kind in ABOUT_STUDY], own)

    def words(self, trial: int) -> list[str]:
        return list(why.lines("s", self.explain(trial)))


def told() -> Story:
    return Story().say("study_started", **START)


def test_plain_reports_are_one_stretch_and_decisions_stand_alone() -> None:
    story = told().begin(4, learned_from=12, fidelity=3)
    for step in (1, 2, 3):
        story.report(4, step)
    story.report(4, 4, reason="rung 4: 0.25 is number 1 of 3").report(4, 5)
    story.report(4, 6, decision="stop", reason="the budget of 9 epochs is used", by="budget")
    ending = {"attempt": 1, "ending": "stopped", "reason": "the budget of 9 epochs is used"}
    story.say("trial_finished", 4, state="pruned", value=1 / 6, peak_memory=3 * 2**20, **ending)
    assert story.words(4) == [
        "trial 4 of study s: pruned, loss 0.1667",
        "",
        "where it came from",
        "  the sampler 'tpe' proposed it, having seen 12 results (the values at epoch 3 of the trials that got there)",
        "    x = 0.5",
        "",
        "attempt 1: begins with the first epoch",
        "  epochs 1-3: loss 0.3333; went on",
        "  epoch 4: loss 0.2500; the trial scheduler 'asha' let it go on: rung 4: 0.25 is number 1 of 3",
        "  epoch 5: loss 0.2000; went on",
        "  epoch 6: loss 0.1667; the budget stopped it: the budget of 9 epochs is used",
        "  ended because it was stopped for good (after 0:07, 3.0 MiB of memory at most)",
        "",
        "what came of it",
        "  pruned (the budget of 9 epochs is used), value 0.1667: its best loss",
    ]


def test_a_loss_a_damaged_checkpoint_and_what_was_done_twice(tmp_path: Path) -> None:
    (tmp_path / "step-1").mkdir()
    story = told().begin(0, learned_from=0)
    story.report(0, 1, tmp_path).report(0, 2, tmp_path).report(0, 3)
    lost = {"attempt": 1, "steps": 3, "reason": "its worker was killed", "out_of_memory": True}
    measured = {"peak_memory": 2**20, "peak_gpu_memory": 3 * 2**30, "gpu_utilization": 37.5}
    story.say("trial_lost", 0, **lost, **measured)
    story.begin(0, 2, "retried")
    story.say("warning", 0, attempt=2, reason="the checkpoint after epoch 2 is damaged")
    story.report(0, 2, tmp_path, repeated=True).report(0, 3, repeated=True).report(0, 4)
    story.say("late", 0, attempt=1, step=4)
    words = story.words(0)
    assert words[0] == "trial 0 of study s: it runs, or its driver was killed"
    assert "  the sampler 'tpe' proposed it, having seen no results yet" in words
    again = words.index("attempt 2: run again; it goes on after epoch 1")
    assert words[again - 2] == (
        "  was lost: its worker was killed (after 0:04, 1.0 MiB of memory at most, "
        "3.0 GiB of GPU memory at most, the GPU busy 38 % of the time)"
    )
    first, second = story.explain(0).to_json()["attempts"]
    assert first["out_of_memory"] and not second["out_of_memory"]
    assert {name: first[name] for name in measured} == measured
    assert words[again + 1 :] == [
        "  warning: the checkpoint after epoch 2 is damaged",
        "  epochs 2-3: loss 0.3333; done before, so not judged again",
        "  epoch 4: loss 0.2500; went on",
        "  saved a checkpoint after epoch 2",
        "  has not ended",
        "",
        "what came of it",
        "  it is not finished",
        "  2 checkpoints saved, 1 still on the disk",
        f"    epoch 1: {tmp_path / 'step-1'}",
        "  1 message of attempts that had been given up came late and counted for nothing",
    ]


def test_a_damaged_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    story = told().begin(0, learned_from=0).report(0, 1, tmp_path).report(0, 2, tmp_path)
    story.say("trial_interrupted", 0, attempt=1, steps=2, reason="")
    said = "  was interrupted: the study was stopped, or its driver was killed"
    assert said in story.words(0)
    assert story.begin(0, 2, "retried").explain(0).attempts[1].start == 2  # what it was given
    assert story.report(0, 2, repeated=True).explain(0).attempts[1].start == 1  # what it could use


def test_clones_know_their_parent_and_parents_their_clones() -> None:
    story = told().begin(0, origin="enqueued")
    story.begin(1, origin="cloned", reason="the best", parent=0, parent_step=6, checkpoint={})
    story.say("trial_paused", 1, attempt=1, steps=6, reason="waits")
    story.begin(1, 2, "retried").say("trial_finished", 1, attempt=2, state="fail", value=None,
                                     ending="failed", reason="ValueError: \x1b[31mno")  # fmt: skip
    donor, clone = story.words(0), story.words(1)
    assert "  somebody enqueued it through Optuna" in donor
    assert "  trial 1 was cloned from it after epoch 6 (the best)" in donor
    assert (
        "  the trial scheduler 'asha' cloned it from trial 0 as that was after epoch 6: the best"
        in clone
    )
    assert "attempt 1: goes on after epoch 6" in clone
    assert "  failed: ValueError: ?[31mno (after 0:01)" in clone
    assert clone[-1] == "  fail (ValueError: ?[31mno), no value"


def test_the_names_are_those_of_the_run_that_started_the_trial() -> None:
    story = told().begin(0).say("study_started", **(START | {"sampler": "random"})).begin(1)
    assert (story.explain(0).origin.sampler, story.explain(1).origin.sampler) == ("tpe", "random")


# ---- through a study and the command ----


class Halves(TrialScheduler):
    """Pauses every trial after its first epoch, goes on with trial 0, then clones it once."""

    def __init__(self, context: Any) -> None:
        self.paused: list[int] = []
        self.resumed = self.cloned = False
        self.over: set[int] = set()

    def on_start(self, trial: Trial) -> None:
        self.resumed |= trial.number in self.paused
        self.cloned |= trial.parent is not None

    def on_report(self, trial: Trial, report: Report, score: float) -> Decision:
        wait = report.step == 1
        return Decision.paused("half: waits for the others") if wait else CONTINUE

    def on_finish(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.ending == "paused":
            self.paused.append(trial.number)

    def next(self, room: bool) -> Next:
        if len(self.paused) < 2:
            return Start() if room else Wait()
        if not self.resumed:
            return Resume(0, "half: the best of 2")
        if not self.cloned and room:
            return Clone(1, {"x": 1.0, "y": 2.0}, "half: x 0 -> 1")
        return Wait()


def resumable(run: Run, *, x: float, y: float, epochs: int = 3) -> None:
    """An objective that can be continued."""
    first = run.restored.step if run.restored else 0
    for epoch in range(first + 1, epochs + 1):
        with run.checkpoint(epoch) as folder:
            (folder / "state.txt").write_text(str(epoch))
        if run.report(epoch, {"loss": abs(x) / epoch}).stop:
            return


@pytest.fixture
def hpo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Hpo:
    """Run a command in this process, on the database of `make_spec`."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        argv = ["hpo", *words, "--storage", "sqlite:///hpo.db"]
        monkeypatch.setattr("sys.argv", argv)
        with pytest.raises(SystemExit) as caught:
            main.main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def studied(make_spec: MakeSpec, catalog: Catalog) -> StudySpec:
    catalog.add(Entry("objectives", "resumable", resumable, "tests", "tests"))
    catalog.add(Entry("trial_schedulers", "halves", Halves, "tests", "tests"))
    named = {"name: bowl,": "name: resumable,", "{name: stop-above, bound: 1000000000.0}": "halves"}
    spec = make_spec(trials=3, **named)
    assert runner.run(spec, catalog, []) is None
    return spec


def test_a_study_with_pauses_and_a_clone_is_explained(hpo: Hpo, studied: StudySpec) -> None:
    code, out, err = hpo("why", "bowl", "0")
    assert (code, err) == (0, "")
    assert (
        "attempt 2: resumed by the trial scheduler (half: the best of 2); it goes on after" in out
    )
    assert "the trial scheduler 'halves' paused it: half: waits for the others" in out
    assert "ended by itself: it is complete" in out
    clone = json.loads(hpo("why", "bowl", "2", "--json")[1])
    assert (clone["study"], clone["trial"], clone["state"]) == ("bowl", 2, "complete")
    assert (clone["origin"]["kind"], clone["origin"]["parent"]) == ("cloned", 1)
    assert clone["attempts"][0]["start"] == clone["origin"]["parent_step"] == 1
    donor = json.loads(hpo("why", "bowl", "1", "--json")[1])
    assert [child["trial"] for child in donor["clones"]] == [2]
    assert len(donor["checkpoints"]) == 1 and len(clone["checkpoints"]) == 2


def test_show_tells_attempts_and_checkpoints(hpo: Hpo, studied: StudySpec) -> None:
    out = hpo("show", "bowl", "0")[1]
    assert "attempt  epoch  loss" in out and "saved" in out
    assert "pause half: waits for the others" in out
    assert "[parent] 1" in hpo("show", "bowl", "2")[1]


def test_a_trial_that_was_not_started_is_a_usage_error(hpo: Hpo, studied: StudySpec) -> None:
    code, out, err = hpo("why", "bowl", "9")
    assert (code, out) == (2, "")
    assert "study 'bowl' has started no trial 9: see hpo trials bowl" in err
    assert "did you mean 'bowl'?" in hpo("why", "bowll", "0")[2]


# ---- replay ----


@dataclass(frozen=True)
class Difference:
    seq: int
    trial: int | None
    what: str
    recorded: str
    derived: str


@dataclass(frozen=True)
class Replayed:
    proposals: int
    decisions: int
    differences: list[Difference]


@pytest.mark.parametrize("differs", [False, True])
def test_replay_says_where_it_differs_and_how_much_was_compared(
    hpo: Hpo, studied: StudySpec, monkeypatch: pytest.MonkeyPatch, differs: bool
) -> None:
    asked: list[str] = []

    def derive(engine: Any, record: Any, catalog: Catalog) -> Replayed:
        asked.append(record.name)
        found = [Difference(7, 3, "decision", "continue", "stop\x1b")] if differs else []
        return Replayed(40, 1, found)

    module = ModuleType("hpo_core.replay")
    module.replay = derive  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hpo_core.replay", module)
    code, out, _ = hpo("replay", "bowl")
    assert asked == ["bowl"]
    assert code == int(differs)
    first, *rest = out.splitlines()
    said = "1 difference" if differs else "no difference"
    assert first == f"replayed 40 proposals and 1 decision: {said}"
    rows = [line.split() for line in rest[1:]]
    assert rows == [["7", "3", "decision", "continue", "stop?"]][:differs]
    code, out, _ = hpo("replay", "bowl", "--json")
    assert code == int(differs)
    assert json.loads(out)["proposals"] == 40 and len(json.loads(out)["differences"]) == differs
