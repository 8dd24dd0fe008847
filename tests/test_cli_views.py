"""What people see of a run: each view is fed events, as the driver feeds it, and its output is read."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
from typing import Any

import pytest
from rich.console import Console

from hpo_core import Event
from hpo_core.cli import view
from hpo_core.cli.lines import LinesView
from hpo_core.cli.live import LiveView
from hpo_core.cli.ndjson import NdjsonView
from hpo_core.cli.progress import Progress
from hpo_core.cli.summary import summary_lines
from hpo_core.cli.tables import aligned
from hpo_core.cli.wording import about, clean, number, parameters, short_names, span

COMMAND = "hpo run studies/digits.yaml"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
PARAMS = {"optimizer.lr": 0.00312345, "optimizer.weight_decay": 2e-5, "lr_scheduler": "cosine"}


class Script:
    """Makes the events of a study, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, kind: str, trial: int | None = None, **data: Any) -> Script:
        seq = len(self.events)
        self.events.append(Event(seq, kind, 1000.0 + seq, trial, data))
        return self

    def start(self, **changes: Any) -> Script:
        data = {
            "study": "digits",
            "metric": "val_accuracy",
            "goal": "maximize",
            "target": 4,
            "finished": 0,
            "epochs": 0,
            "budget": {"trials": 4, "epochs": None, "hours": None, "max_attempts": 3},
            "continued": False,
            "sampler": "tpe",
            "trial_scheduler": "asha",
            "executor": "processes",
            "storage": "sqlite:///runs/hpo.db",
            "directory": "runs/digits",
        }
        return self.say("study_started", **(data | changes))

    def begin(self, trial: int, **changes: Any) -> Script:
        data = {"attempt": 1, "params": PARAMS, "epochs": 9, "origin": "new"}
        return self.say("trial_started", trial, **(data | changes))

    def report(self, trial: int, step: int, value: float, **changes: Any) -> Script:
        data = {
            "attempt": 1,
            "step": step,
            "metrics": {"val_accuracy": value},
            "value": value,
            "seconds": 1.0,
            "decision": "continue",
            "reason": "",
            "by": "scheduler",
        }
        return self.say("report", trial, **(data | changes))

    def saved(self, trial: int, step: int, value: float, **changes: Any) -> Script:
        """A report with a checkpoint."""
        saved = {"step": step, "path": f"trials/{trial}/{step}", "sha256": "ab" * 32}
        return self.report(trial, step, value, checkpoint=saved, **changes)

    def end(self, trial: int, state: str, value: float | None, reason: str = "") -> Script:
        return self.say(
            "trial_finished",
            trial,
            attempt=1,
            state=state,
            value=value,
            reason=reason,
            steps=3,
            seconds=41.0,
        )

    def finish(self, **changes: Any) -> Script:
        data = {
            "finished": 4,
            "target": 4,
            "epochs": 5,
            "complete": 2,
            "pruned": 1,
            "failed": 1,
            "best_trial": 1,
            "best_value": 0.97,
        }
        return self.say("study_finished", **(data | changes))


def whole_study() -> Script:
    script = Script().start()
    script.begin(0).report(0, 1, 0.5).end(0, "complete", 0.5)
    script.begin(1, params={"optimizer.lr": 0.1}).report(1, 1, 0.97).end(1, "complete", 0.97)
    script.begin(2).report(2, 3, 0.4).end(2, "pruned", 0.4, "rung 1: 0.4 is not among the best")
    script.begin(3).end(3, "fail", None, "ValueError: [bold]no[/bold] \x1b[31mred\x1b[0m\nluck")
    script.finish()
    return script.say(
        "model_registered",
        name="digits",
        version=2,
        sha256="ab" * 32,
        trial=1,
        path="runs/models/digits/2/model.safetensors",
    )


def lines_of(script: Script) -> list[str]:
    stream = io.StringIO()
    with LinesView(stream, COMMAND) as shown:
        for event in script.events:
            shown.on_event(event)
    return stream.getvalue().splitlines()


def live(width: int, events: list[Event], **console: Any) -> tuple[LiveView, io.StringIO]:
    """A live view that has been told events and drawn once; the caller closes it."""
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=True, width=width, highlight=False, **console)
    shown = LiveView(made, COMMAND, clock=lambda: 1060.0)
    for event in events:
        shown.on_event(event)
    shown.draw()
    return shown, stream


def bars(width: int, events: list[Event]) -> list[str]:
    """The bars as text, without colours."""
    shown, _ = live(width, events)
    try:
        plain = Console(file=io.StringIO(), width=width, color_system=None)
        with plain.capture() as capture:
            plain.print(shown.render())
        return capture.get().splitlines()
    finally:
        shown.close()


def test_lines_say_every_report_and_every_finished_trial() -> None:
    lines = lines_of(whole_study())
    assert "trial 1 epoch 1/9  val_accuracy 0.9700" in lines
    assert [line for line in lines if line.startswith("trial 2 pruned")] == [
        "trial 2 pruned at epoch 3 (rung 1: 0.4 is not among the best)  "
        "lr=0.00312 weight_decay=2e-05 lr_scheduler=cosine  [3/4, best 0.9700 by trial 1]"
    ]
    assert any(line.startswith("trial 0 complete  0.5000  3 epochs  0:41") for line in lines)


def test_lines_hold_no_control_code_whatever_users_write() -> None:
    script = Script().start(study="a\x1b[2Jb", directory="runs/\rx")
    script.begin(0, params={"name\x07": "v\x1b]0;title\x07"}).report(0, 1, math.nan)
    script.end(0, "fail", None, "\x1b[31mred\x1b[0m\r\nnext")
    script.say("tracker_disabled", tracker="csv\x08", reason="disk\x1bfull")
    script.finish(best_trial=None, best_value=None)
    assert not CONTROL.search("\n".join(lines_of(script)))


def test_summary_has_result_files_and_next_commands() -> None:
    lines = lines_of(whole_study())
    text = "\n".join(lines[-10:])
    assert "done: 4/4 trials (2 complete, 1 pruned, 1 failed) after 12 s" in text
    assert "best      val_accuracy 0.9700 (trial 1)\n          optimizer.lr = 0.1\n" in text
    assert "digits version 2 from trial 1 (sha256 abababababab), runs/models/digits/2" in text
    assert "the first: hpo show digits 3" in text
    assert "hpo best digits" in text and "hpo dashboard" in text


def gate(name: str, passed: bool, sure: bool = True) -> dict[str, Any]:
    return {"name": name, "passed": passed, "sure": sure, "reason": f"{name} is \x1bsaid"}


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ([], []),
        ([gate("accuracy", True)], ["gates: passed"]),
        (
            [gate("accuracy", True), gate("per_class_recall", True, sure=False)],
            [
                "gates: passed",
                "note: met, but not surely: per_class_recall: per_class_recall is ?said",
            ],
        ),
        (
            [gate("accuracy", False, sure=False), gate("ece", False), gate("largest_share", True)],
            ["gates: 2 of 3 failed: accuracy, ece"],
        ),
    ],
)
def test_summary_says_how_a_model_was_tested(gates: list[dict[str, Any]], said: list[str]) -> None:
    script = whole_study()
    script.events[-1].data.update(
        measured={"n": 270, "accuracy": 0.87777},
        intervals={"accuracy": [0.83344, 0.91171]},
        gates=gates,
    )
    lines = lines_of(script)
    first = lines.index("          test accuracy 0.8778 (0.8334 to 0.9117) on 270 images")
    last = next(at for at, line in enumerate(lines) if line.startswith("results") and at > first)
    assert [line.strip() for line in lines[first + 1 : last]] == said


def test_summary_of_a_model_that_was_not_measured_says_which_gates_it_fails() -> None:
    script = whole_study()
    script.events[-1].data.update(gates=[gate("accuracy", False)])
    assert "          gates: 1 of 1 failed: accuracy" in lines_of(script)


def test_commands_name_the_storage_where_it_is_not_the_default() -> None:
    script = Script().start(storage="sqlite:///my runs/a.db").finish()
    assert "inspect   hpo dashboard --storage 'sqlite:///my runs/a.db'" in lines_of(script)


def test_stopped_study_ends_with_the_command_that_continues_it() -> None:
    script = Script().start().begin(0)
    script.say("trial_interrupted", 0, attempt=1, steps=2, reason="")
    script.say("study_stopped", finished=0, target=4, epochs=2, reason="SIGINT")
    lines = lines_of(script)
    assert "trial 0 interrupted after 2 epochs, will be run again" in lines
    assert "stopped (SIGINT): 0/4 trials, 1 paused, after 3 s" in lines
    assert lines[-1] == f"continue  {COMMAND}"


def test_the_best_of_a_stopped_study_may_be_a_trial_that_waits() -> None:
    script = Script().start().begin(0).report(0, 1, 0.1).end(0, "pruned", 0.1)
    script.begin(1, params={"lr": 0.5}).report(1, 1, 0.7)
    script.say("trial_paused", 1, attempt=1, steps=1, reason="rung 1")
    script.say("study_stopped", finished=1, target=4, epochs=2, reason="SIGINT")
    lines = lines_of(script)
    best = lines.index("best      val_accuracy 0.7000 (trial 1, so far)")
    assert lines[best + 1] == "          lr = 0.5"
    assert any(line.startswith("see ") for line in lines)


def test_nothing_is_summed_up_when_the_run_broke_off() -> None:
    assert summary_lines(Progress(), COMMAND) == []
    assert not any("best" in line for line in lines_of(Script().start().begin(0)))


def test_finished_study_says_that_nothing_is_left() -> None:
    lines = lines_of(Script().start(continued=True, finished=4).finish())
    assert any("4/4 trials are done: nothing left to run" in line for line in lines)
    assert "done: 4/4 trials (2 complete, 1 pruned, 1 failed) after 1 s" in lines


def test_continued_study_knows_the_best_trial_from_before() -> None:
    script = Script().start(
        continued=True, finished=2, best_trial=0, best_value=0.8, best_params={"lr": 0.5}
    )
    script.begin(2).report(2, 1, 0.7).end(2, "complete", 0.7)
    assert any("[3/4, best 0.8000 by trial 0]" in line for line in lines_of(script))


@pytest.mark.parametrize(("goal", "best"), [("maximize", 1), ("minimize", 0)])
def test_best_is_a_finite_value_of_a_trial_that_did_not_fail(goal: str, best: int) -> None:
    progress = Progress()
    script = Script().start(goal=goal)
    script.end(0, "complete", 0.2).end(1, "pruned", 0.3).end(2, "fail", None)
    script.end(3, "complete", math.inf).end(4, "complete", -math.inf).end(5, "complete", math.nan)
    for event in script.events:
        progress.apply(event)
    assert progress.best_trial == best


def test_time_left_counts_the_epochs_of_running_trials() -> None:
    progress = Progress()
    for event in Script().start(finished=1).begin(1, epochs=4).report(1, 2, 0.5).events:
        progress.apply(event)
    # half a trial in 10 s, two and a half of three still to go
    assert progress.seconds_left(1010.0) == pytest.approx(50.0)


def test_time_left_is_unknown_before_anything_was_reported() -> None:
    progress = Progress()
    for event in Script().start().begin(0).events:
        progress.apply(event)
    assert progress.seconds_left(1010.0) is None


# ---- pauses, clones, losses and other budgets ----


def test_lines_tell_what_pauses_resumes_is_cloned_and_lost() -> None:
    script = Script().start()
    script.begin(0).saved(0, 1, 0.5)
    script.say("trial_paused", 0, attempt=1, steps=1, reason="rung 1: 0.5 is number 1 of 1")
    script.begin(0, attempt=2, origin="resumed", reason="rung 1: among the best 1 of 3")
    script.saved(0, 2, 0.6, attempt=2).report(0, 3, 0.65, attempt=2)
    script.say("trial_lost", 0, attempt=2, steps=3, reason="killed by \x1bSIGKILL")
    script.begin(0, attempt=3, origin="retried").report(0, 3, 0.65, attempt=3, repeated=True)
    script.begin(
        1, origin="cloned", reason="copy of the best", parent=0, parent_step=2, checkpoint={}
    )
    script.say("trial_lost", 1, attempt=1, steps=2, reason="out of memory")
    script.begin(1, attempt=2, origin="retried")
    script.begin(2).say("trial_lost", 2, attempt=1, steps=0, reason="out of memory")
    script.begin(2, attempt=2, origin="retried")
    script.say("warning", 1, attempt=2, reason="the checkpoint after epoch 2 is damaged")
    script.say("warning", None, reason="cannot delete x")
    script.say("late", 0, attempt=2, step=4)
    script.say("study_changed", change="x: 1 became 2")
    assert lines_of(script)[3:] == [
        "trial 0 epoch 1/9  val_accuracy 0.5000",
        "trial 0 paused at epoch 1 (rung 1: 0.5 is number 1 of 1)",
        "trial 0 resumed at epoch 1 (rung 1: among the best 1 of 3)",
        "trial 0 epoch 2/9  val_accuracy 0.6000",
        "trial 0 epoch 3/9  val_accuracy 0.6500",
        "trial 0 lost after 3 epochs (killed by ?SIGKILL), attempt 3 follows",
        "trial 0 runs again at epoch 2 (attempt 3)",
        "trial 0 epoch 3/9  val_accuracy 0.6500  (once more)",
        "trial 1 cloned from trial 0 at epoch 2 (copy of the best)",
        "trial 1 lost after 2 epochs (out of memory), attempt 2 follows",
        "trial 1 runs again at epoch 2 (attempt 2)",
        "trial 2 lost after 0 epochs (out of memory), attempt 2 follows",
        "trial 2 runs again from its first epoch (attempt 2)",
        "warning: trial 1: the checkpoint after epoch 2 is damaged",
        "warning: cannot delete x",
        "trial 0 attempt 2 was given up: what it still says is dropped",
        "changed   x: 1 became 2",
    ]


def test_a_trial_paused_by_an_earlier_run_is_resumed_without_a_guess() -> None:
    script = Script().start(continued=True)
    script.begin(3, attempt=2, origin="resumed", reason="rung 1: the best")
    assert lines_of(script)[-1] == "trial 3 resumed (rung 1: the best)"


def test_epochs_are_counted_once_over_pauses_losses_and_clones() -> None:
    script = Script().start(epochs=10, continued=True)
    script.begin(0).saved(0, 1, 0.5).report(0, 2, 0.5)
    script.say("trial_lost", 0, attempt=1, steps=2, reason="")
    script.begin(0, attempt=2, origin="retried")
    script.report(0, 2, 0.5, attempt=2, repeated=True).report(0, 3, 0.5, attempt=2)
    script.begin(1, origin="cloned", parent=0, parent_step=1, checkpoint={}).report(1, 2, 0.5)
    script.begin(2, attempt=4, origin="resumed", reason="").report(2, 7, 0.5, attempt=4)
    progress = Progress()
    for event in script.events:
        progress.apply(event)
    assert progress.epochs == 10 + 3 + 1 + 1


EPOCHS = {"trials": None, "epochs": 100, "hours": None, "max_attempts": 3}


def test_totals_are_in_the_units_of_the_budget() -> None:
    script = Script().start(target=None, budget=EPOCHS, epochs=38, finished=11, continued=True)
    script.begin(11).report(11, 2, 0.5).end(11, "complete", 0.5)
    lines = lines_of(script.finish(target=None, epochs=40, finished=12))
    assert "11 trials, 38/100 epochs are done, continuing (--fresh starts anew)" in lines
    assert any(
        line.endswith("[12 trials, 40/100 epochs, best 0.5000 by trial 11]") for line in lines
    )
    assert any(line.startswith("done: 12 trials, 40/100 epochs (2 complete") for line in lines)
    both = EPOCHS | {"trials": 4}
    lines = lines_of(Script().start(budget=both).begin(0).end(0, "complete", 0.5))
    assert lines[-1].endswith("[1/4 trials, 0/100 epochs, best 0.5000 by trial 0]")


def test_a_used_budget_of_epochs_leaves_nothing_to_run() -> None:
    script = Script().start(target=None, budget=EPOCHS, epochs=100, finished=12, continued=True)
    assert "12 trials, 100/100 epochs are done: nothing left to run" in lines_of(script)[3]


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"epochs": 22}, 50.0),  # 2 of 22 - 10 epochs in 10 s
        ({"hours": 0.02}, 62.0),  # of 72 s
        ({"epochs": 22, "hours": 0.01}, 26.0),  # whichever comes first
        ({"trials": 3, "hours": 1.0}, 125.0),  # 2/9 of a trial of 3, in 10 s
        ({}, None),
    ],
)
def test_time_left_is_that_of_the_first_limit(limits: dict[str, float], left: float | None) -> None:
    budget = dict.fromkeys(("trials", "epochs", "hours")) | limits
    script = Script().start(target=budget["trials"], budget=budget, epochs=10)
    progress = Progress()
    for event in script.begin(0).report(0, 2, 0.5).events:
        progress.apply(event)
    assert progress.seconds_left(1010.0) == (None if left is None else pytest.approx(left))
    assert 0.0 <= progress.share(1010.0) <= 1.0


def test_paused_trials_leave_the_bars_and_are_counted() -> None:
    script = Script().start(target=9)
    for trial in (0, 1):
        script.begin(trial).report(trial, 1, 0.5 + trial / 10)
        script.say("trial_paused", trial, attempt=1, steps=1, reason="")
    drawn = bars(120, script.begin(2).events)
    assert len(drawn) == 2
    assert drawn[0].startswith(" trial 2")
    assert "0/9 trials" in drawn[1] and "best 0.6000 (trial 1)" in drawn[1]
    assert "2 paused" in drawn[1]
    resumed = bars(120, script.begin(1, attempt=2, origin="resumed", reason="").events)
    assert resumed[0].startswith(" trial 1") and "best 0.6000" in resumed[0]
    assert "1 paused" in resumed[2]
    shown, stream = live(120, script.events, color_system=None)
    shown.close()
    assert " trial 0 paused at epoch 1\n" in stream.getvalue().replace("\r", "")


@pytest.mark.parametrize("width", [40, 60, 120])
def test_bars_fit_the_terminal_with_fifteen_parameters(width: int) -> None:
    many = {f"group{i}.option_number_{i}": i / 7 for i in range(15)}
    events = Script().start(target=99).begin(0, params=many).report(0, 4, 0.91).begin(1).events
    drawn = bars(width, events)
    assert len(drawn) == 3
    assert all(len(line) <= width for line in drawn)
    assert drawn[0].startswith(" trial 0") and "4/9" in drawn[0] and "0.9100" in drawn[0]
    assert "0/99 trials" in drawn[2]


def test_bars_show_the_best_value_where_there_is_room() -> None:
    events = Script().start().begin(0).report(0, 1, 0.95).report(0, 2, 0.9).events
    assert "0.9000 best 0.9500 0:59" in bars(120, events)[0]
    assert "best" not in bars(60, events)[0]


def test_many_running_trials_do_not_fill_the_terminal() -> None:
    script = Script().start(target=99)
    for trial in range(40):
        script.begin(trial)
    drawn = bars(100, script.events)
    assert len(drawn) == 18
    assert "and 24 more" in drawn[16]


def test_live_prints_finished_trials_literally_and_on_one_line() -> None:
    many = {f"parameter_{i}": "[red]x[/red]" for i in range(15)}
    script = Script().start().begin(0, params=many).end(0, "complete", 0.5)
    script.begin(1).end(1, "fail", None, "[bold]bad[/nonsense]\x1b[31m")
    shown, stream = live(70, script.events, color_system=None)
    shown.close()
    text = stream.getvalue()
    assert "FAILED  [bold]bad[/nonsense]?[31m" in text
    (line,) = (line for line in text.splitlines() if "trial 0 complete" in line)
    assert "parameter_0=[red]x[/red]" in line and line.rstrip().endswith("…")


def test_live_leaves_the_summary_and_the_cursor() -> None:
    shown, stream = live(120, whole_study().events, color_system=None)
    shown.close()
    shown.close()
    text = stream.getvalue()
    assert text.count("done: 4/4 trials") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # shown again
    assert all(not thread.name.startswith("hpo view") for thread in threading.enumerate())


def test_live_respects_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown, stream = live(100, whole_study().events)
    shown.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", stream.getvalue())


def test_ndjson_is_one_event_a_line_with_null_for_what_json_lacks() -> None:
    stream = io.StringIO()
    with NdjsonView(stream, io.StringIO()) as shown:
        for event in Script().start().begin(0).report(0, 1, math.nan).events:
            shown.on_event(event)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(row["event"], row["seq"]) for row in rows] == [
        ("study_started", 0),
        ("trial_started", 1),
        ("report", 2),
    ]
    assert rows[2]["trial"] == 0 and rows[2]["value"] is None


def test_ndjson_outlives_its_reader() -> None:
    code = (
        "import sys\nfrom hpo_core import Event\nfrom hpo_core.cli.view import choose\n"
        "sys.stdin.readline()\n"
        "with choose(json=True, command='') as view:\n"
        "    for seq in range(3): view.on_event(Event(seq, 'study_started', 0.0))\n"
        "print('alive', file=sys.stderr)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, said = child.communicate("go\n", timeout=60)
    assert child.returncode == 0
    assert said.splitlines() == ["warning: nobody reads the events; the study goes on", "alive"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "term", "kind"),
    [
        (Terminal(), "xterm-256color", LiveView),
        (Terminal(), "dumb", LinesView),
        (io.StringIO(), "xterm-256color", LinesView),
    ],
)
def test_view_fits_where_the_output_goes(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str, kind: type
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stream)
    with view.choose(json=False, command=COMMAND) as shown:
        assert type(shown) is kind


def test_choosing_lines_imports_no_rich() -> None:
    code = (
        "import sys\nfrom hpo_core.cli.view import choose\n"
        "with choose(json=False, command=''): pass\n"
        "assert not {'rich', 'optuna', 'torch'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ})


def test_short_names_keep_what_tells_parameters_apart() -> None:
    assert short_names(["optimizer.lr", "head.lr", "lr_scheduler.step.gamma"]) == {
        "optimizer.lr": "optimizer.lr",
        "head.lr": "head.lr",
        "lr_scheduler.step.gamma": "gamma",
    }
    assert parameters({"a.x": 0.25, "b.x": "one two", "y": True}) == "a.x=0.25 b.x=one two y=True"


def test_wording() -> None:
    assert [number(v) for v in (None, 0.0, 0.97, 1e-5, 123456.0, math.nan)] == [
        "-",
        "0.0000",
        "0.9700",
        "1.000e-05",
        "1.235e+05",
        "nan",
    ]
    assert [span(s) for s in (41, 725, 10800)] == ["0:41", "12:05", "3:00:00"]
    assert [about(s) for s in (0.2, 45, 240, 9000, 400_000)] == [
        "1 s",
        "45 s",
        "4 min",
        "2.5 h",
        "4.6 days",
    ]
    assert clean("a\n b\x1b[0m") == "a b?[0m"


def test_aligned_wraps_only_the_last_column() -> None:
    rows = [("name", "what"), ("long-name", "some words that do not fit in here")]
    assert list(aligned(rows)) == [
        "name       what",
        "long-name  some words that do not fit in here",
    ]
    assert list(aligned(rows, width=35))[1:] == [
        "long-name  some words that do not",
        "           fit in here",
    ]
    assert list(aligned([])) == []
