"""Runs one attempt at a trial: what every executor does in its worker, wherever that is.

The executor supplies a way to send a report and get a decision back; the rest (finding the objective, seeds, catching
whatever the objective raises, refusing to go on after a stop) happens here, once.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from hpo_core import options, references
from hpo_core.catalog import Catalog
from hpo_core.contracts import TrialStopped
from hpo_core.scheduling import Decision
from hpo_core.trial import Ending, Outcome, Report, Trial

Send = Callable[[Report], Decision]


class LiveRun:
    """A trial while it runs: implements `hpo_core.Run` over an executor's way to send."""

    def __init__(self, trial: Trial, send: Send) -> None:
        self.trial = trial
        self.decision: Decision | None = None
        self._send = send
        self._step = 0
        self._last = time.monotonic()

    def report(
        self, step: int, metrics: dict[str, float], checkpoint: str | None = None
    ) -> Decision:
        """See `hpo_core.contracts.Run.report`."""
        if self.stopped:
            raise TrialStopped
        if step <= self._step:
            raise ValueError(f"steps must grow: {step} was reported after {self._step}")
        if self.trial.metric not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise ValueError(
                f"the study's metric '{self.trial.metric}' was not reported (got: {known})"
            )
        now = time.monotonic()
        numbers = {name: float(value) for name, value in metrics.items()}
        self.decision = self._send(Report(step, numbers, now - self._last, checkpoint))
        self._step, self._last = step, time.monotonic()
        return self.decision

    @property
    def stopped(self) -> bool:
        """Whether the trial was told to stop."""
        return self.decision is not None and self.decision.stop

    @property
    def next_step(self) -> int:
        """The step that a value returned by the objective stands for."""
        return self._step + 1


def execute(trial: Trial, catalog: Catalog, send: Send) -> Outcome:
    """Run the objective of a trial to its end; whatever an objective raises becomes a failed outcome.

    Only KeyboardInterrupt and SystemExit pass through.
    """
    run = LiveRun(trial, send)
    try:
        entry = catalog.entry("objectives", trial.objective)
        result = entry.factory(run, **options.keywords(catalog, entry, trial.config))
        _report_result(run, result)
    except TrialStopped:
        pass
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # an objective may raise anything, and the study goes on
        said = references.conceal(" ".join(str(error).split()), trial.config)
        reason = f"{type(error).__name__}: {said}"[:500].rstrip(": ")
        trace = references.conceal(traceback.format_exc(), trial.config)
        return Outcome(Ending.FAILED, reason, trace)
    if run.stopped and run.decision is not None:
        return Outcome(Ending.STOPPED, run.decision.reason)
    if run.decision is None:
        return Outcome(
            Ending.FAILED, f"the objective reported no '{trial.metric}' and returned nothing"
        )
    return Outcome(Ending.COMPLETED)


def _report_result(run: LiveRun, result: Any) -> None:
    """What an objective returns, a number or metrics by name, is a last report."""
    if result is None or run.stopped:
        return
    metrics = dict(result) if isinstance(result, Mapping) else {run.trial.metric: result}
    run.report(run.next_step, metrics)
