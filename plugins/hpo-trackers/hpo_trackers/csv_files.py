"""The tracker `csv`: `trials.csv` and `metrics.csv` in the study's directory, for a spreadsheet or pandas.

`trials.csv` has a line for each trial that has ended, with a column for each parameter (`params_lr`, as Optuna calls
it). `metrics.csv` has a line for each metric of each report (long form), because trials need not report the same ones.
A study that is continued continues both. They are copies for people: the truth is the study's storage, and lines that
a killed study had not written yet are missing here.
"""

from __future__ import annotations

from hpo_core import Report, StudyInfo, Trial
from hpo_trackers.table import Table

TRIAL_COLUMNS = ("number", "attempt", "state", "value", "reason")
METRIC_COLUMNS = ("number", "attempt", "step", "seconds", "metric", "value")


class CsvFiles:
    """Writes every epoch's metrics to a table in the study's folder (a `hpo_core.Tracker`)."""

    def __init__(self, study: StudyInfo) -> None:
        self._trials = Table(study.directory / "trials.csv", TRIAL_COLUMNS)
        self._metrics = Table(study.directory / "metrics.csv", METRIC_COLUMNS)

    def on_start(self, trial: Trial) -> None:
        """See `hpo_core.Tracker`. A trial is written when it has ended."""

    def on_report(self, trial: Trial, report: Report) -> None:
        """See `hpo_core.Tracker`."""
        for metric, value in report.metrics.items():
            row = (
                trial.number,
                trial.attempt,
                report.step,
                round(report.seconds, 3),
                metric,
                value,
            )
            self._metrics.append(dict(zip(METRIC_COLUMNS, row, strict=True)))

    def on_finish(self, trial: Trial, state: str, value: float | None, reason: str) -> None:
        """See `hpo_core.Tracker`."""
        row = (trial.number, trial.attempt, state, value, reason)
        params = {f"params_{name}": chosen for name, chosen in trial.params.items()}
        self._trials.append(dict(zip(TRIAL_COLUMNS, row, strict=True)) | params)

    def close(self) -> None:
        """See `hpo_core.Tracker`."""
        self._trials.close()
        self._metrics.close()
