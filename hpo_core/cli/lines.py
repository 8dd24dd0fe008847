"""A run as plain lines: one for every report and every finished trial, for pipes, log files and dumb terminals.

No line holds a control code or is ever rewritten, so `grep`, `tee` and a CI log show what a person would have seen.
"""

from __future__ import annotations

from typing import TextIO

from hpo_core.cli.notices import notice
from hpo_core.cli.progress import Progress, TrialProgress
from hpo_core.cli.summary import header_lines, summary_lines, totals
from hpo_core.cli.view import View
from hpo_core.cli.wording import clean, count, number, parameters, span
from hpo_core.trial import Event


class LinesView(View):
    """Observes a run and writes it to `stream` as lines. `command` is the command line that continues the study."""

    def __init__(self, stream: TextIO, command: str) -> None:
        self.stream = stream
        self.command = command
        self.progress = Progress()

    def on_event(self, event: Event) -> None:
        """Called by the driver for every event, after it was stored."""
        trial = known(self.progress, event)
        self.progress.apply(event)
        for line in self._lines(event, trial):
            print(line, file=self.stream)
        self.stream.flush()

    def close(self) -> None:
        """Say how the run ended, if it did. Called once, after the last event."""
        for line in summary_lines(self.progress, self.command):
            print(line, file=self.stream)
        self.stream.flush()

    def _lines(self, event: Event, trial: TrialProgress | None) -> list[str]:
        """What is said about an event; `trial` is the trial as it was before the event."""
        match event.kind:
            case "study_started":
                return header_lines(self.progress)
            case "report":
                return [self._report_line(event)]
            case "trial_finished":
                params = f"  {parameters(trial.params)}" if trial and trial.params else ""
                return [finished_text(event) + params + self._standing()]
            case _:
                return [line] if (line := notice(event, trial)) else []

    def _report_line(self, event: Event) -> str:
        trial, metric = event.trial, self.progress.about["metric"]
        running = self.progress.running.get(event.trial) if event.trial is not None else None
        epochs = f"/{running.epochs}" if running and running.epochs else ""
        again = "  (once more)" if event.data.get("repeated") else ""
        return (
            f"trial {trial} epoch {event.data['step']}{epochs}  "
            f"{clean(metric)} {number(event.data['value'])}{again}"
        )

    def _standing(self) -> str:
        progress = self.progress
        leader = progress.leader
        best = "" if leader is None else f", best {number(leader[1])} by trial {leader[0]}"
        only_trials = list(progress.limits) == ["trials"]
        done = f"{progress.finished}/{progress.target}" if only_trials else totals(progress)
        return f"  [{done}{best}]"


def known(progress: Progress, event: Event) -> TrialProgress | None:
    """The trial that an event is about as `progress` knows it, running or waiting."""
    if event.trial is None:
        return None
    return progress.running.get(event.trial) or progress.waiting.get(event.trial)


def finished_text(event: Event) -> str:
    """How a trial ended, as both views say it, on one line: `trial 14 pruned at epoch 3 (rung 1: ...)`."""
    data = event.data
    reason = clean(data["reason"])
    if data["state"] == "fail":
        return f"trial {event.trial} FAILED  {reason or 'no reason was given'}"
    if data["state"] == "pruned":
        return f"trial {event.trial} pruned at epoch {data['steps']}" + (
            f" ({reason})" if reason else ""
        )
    return (
        f"trial {event.trial} complete  {number(data['value'])}  "
        f"{count(data['steps'], 'epoch')}  {span(data['seconds'])}"
    )
