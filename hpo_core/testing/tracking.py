"""What every tracker must do, as a pytest class: subclass it, and say how one is built.

::

    class TestCsv(TrackerContract):
        def build(self, study):
            return csv(study)
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from hpo_core.contracts import StudyInfo, Tracker
from hpo_core.trial import Report, Trial


def make_study(folder: Path, name: str = "bowl", target: int = 10) -> StudyInfo:
    """A study with an existing directory of its own in `folder`."""
    directory = folder / name
    directory.mkdir(parents=True, exist_ok=True)
    return StudyInfo(name, "accuracy", "maximize", target, directory)


def make_trial(study: StudyInfo, number: int, attempt: int = 1, **params: object) -> Trial:
    """A trial of `study` with searched values `params`."""
    return Trial(
        number=number,
        attempt=attempt,
        objective="bowl",
        params=params,
        config={},
        seed=number,
        metric=study.metric,
        goal=study.goal,
        directory=str(study.directory / f"trial-{number:04d}"),
    )


class TrackerContract:
    """What a tracker's own tests subclass."""

    def build(self, study: StudyInfo) -> Tracker:
        """The tracker under test, as its factory builds it with default options."""
        raise NotImplementedError

    @pytest.fixture
    def study(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyInfo:
        """A study; the working directory is another one, which must stay empty."""
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return make_study(tmp_path)

    def test_is_a_tracker(self, study: StudyInfo) -> None:
        tracker = self.build(study)
        assert isinstance(tracker, Tracker)
        tracker.close()

    def test_sees_a_whole_study(self, study: StudyInfo) -> None:
        tracker = self.build(study)
        for number, state in enumerate(["complete", "pruned", "fail"]):
            trial = make_trial(study, number, lr=0.1, layers=2, bias=True, kind='a,"b"\n', no=None)
            tracker.on_start(trial)
            tracker.on_report(trial, Report(1, {"accuracy": 0.5, "loss": 1.5}, 0.1))
            tracker.on_report(trial, Report(2, {"accuracy": 0.6, "val/ünï": 2.0}, 0.1))
            tracker.on_finish(trial, state, None if state == "fail" else 0.6, "a\nreason, ünï")
        tracker.close()

    def test_takes_numbers_that_are_not_finite(self, study: StudyInfo) -> None:
        tracker = self.build(study)
        trial = make_trial(study, 0)
        tracker.on_start(trial)
        tracker.on_report(trial, Report(1, {"accuracy": math.nan, "loss": math.inf}))
        tracker.on_finish(trial, "fail", None, "accuracy is nan at step 1")
        tracker.close()

    def test_takes_trials_side_by_side(self, study: StudyInfo) -> None:
        tracker = self.build(study)
        trials = [make_trial(study, number, x=number) for number in range(3)]
        for trial in trials:
            tracker.on_start(trial)
        for trial in reversed(trials):
            tracker.on_report(trial, Report(1, {"accuracy": 0.5}))
        for trial in trials:
            tracker.on_finish(trial, "complete", 0.5, "")
        tracker.close()

    def test_takes_a_trial_that_is_run_again(self, study: StudyInfo) -> None:
        """A study was killed in the middle of a trial and is continued by another process."""
        for attempt in (1, 2):
            tracker = self.build(study)
            trial = make_trial(study, 0, attempt, x=1.0)
            tracker.on_start(trial)
            tracker.on_report(trial, Report(1, {"accuracy": 0.5}))
            if attempt == 2:
                tracker.on_finish(trial, "complete", 0.5, "")
            tracker.close()

    def test_writes_only_into_the_study_s_directory(self, study: StudyInfo) -> None:
        self.test_sees_a_whole_study(study)
        assert os.listdir() == []
        assert sorted(path.name for path in study.directory.parent.iterdir()) == [
            study.name,
            "elsewhere",
        ]
