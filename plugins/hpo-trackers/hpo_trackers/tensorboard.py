"""The tracker `tensorboard`: event files for `tensorboard --logdir DIRECTORY/tensorboard`, a run for each trial.

Each metric is a scalar over the steps. At its end a trial's parameters and its best value are written as what
TensorBoard's HPARAMS page shows. Written through tensorboardX, which needs neither TensorFlow nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hpo_core import Report, StudyInfo, Trial

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

HPARAM_METRIC = "hparam/{metric}"  # another name than the curve's, which TensorBoard would otherwise show in its place


class TensorBoard:
    """Writes event files that TensorBoard shows (a `hpo_core.Tracker`)."""

    def __init__(
        self,
        study: StudyInfo,
        *,
        flush_seconds: Annotated[
            int,
            Field(ge=1, le=3600, description="seconds until a running trial's curve is on disk"),
        ] = 10,
    ) -> None:
        self._directory = study.directory / "tensorboard"
        self._metric = study.metric
        self._flush_seconds = flush_seconds
        self._writers: dict[int, SummaryWriter] = {}

    def on_start(self, trial: Trial) -> None:
        """See `hpo_core.Tracker`. Opens the trial's event file; an earlier attempt's curve is hidden by it."""
        if trial.number in self._writers:
            self._writers.pop(trial.number).close()
        self._writer(trial)

    def on_report(self, trial: Trial, report: Report) -> None:
        """See `hpo_core.Tracker`."""
        writer = self._writer(trial)
        for metric, value in report.metrics.items():
            add_scalar(writer, metric, value, report.step)

    def on_finish(self, trial: Trial, state: str, value: float | None, reason: str) -> None:
        """See `hpo_core.Tracker`. Closes the trial's event file."""
        from tensorboardX.summary import hparams

        writer = self._writer(trial)
        name = HPARAM_METRIC.format(metric=self._metric)
        params = {key: plain(chosen) for key, chosen in trial.params.items()}
        results = {} if value is None else {name: value}
        for summary in hparams(params | {"state": state}, results):
            writer.file_writer.add_summary(summary)
        if value is not None:
            add_scalar(writer, name, value, 0)
        self._writers.pop(trial.number).close()

    def close(self) -> None:
        """See `hpo_core.Tracker`. Trials that were interrupted keep what they have reported."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _writer(self, trial: Trial) -> SummaryWriter:
        if trial.number not in self._writers:
            self._writers[trial.number] = self._open(trial)
        return self._writers[trial.number]

    def _open(self, trial: Trial) -> SummaryWriter:
        from tensorboardX import SummaryWriter

        return SummaryWriter(
            str(self._directory / f"trial-{trial.number:04d}"),
            purge_step=1 if trial.attempt > 1 else None,
            flush_secs=self._flush_seconds,
            # its own name for each attempt: the library's has seconds in it, and it overwrites
            filename_suffix=f".attempt-{trial.attempt}",
        )


def add_scalar(writer: SummaryWriter, tag: str, value: float, step: int) -> None:
    """As the writer's own `add_scalar`, which warns on the terminal of every NaN; they are no news here."""
    from tensorboardX.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    writer.file_writer.add_summary(summary, step)


def plain(value: Any) -> str | float | bool:
    """A parameter as TensorBoard can show it."""
    return value if isinstance(value, str | int | float | bool) else str(value)
