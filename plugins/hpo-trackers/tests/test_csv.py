"""The tracker `csv`: its files read back, continued, torn and widened."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hpo_trackers.csv_files import CsvFiles
from hpo_trackers.table import Table

from hpo_core import Report, StudyInfo, Tracker
from hpo_core.testing.tracking import TrackerContract, make_study, make_trial


class TestCsv(TrackerContract):
    def build(self, study: StudyInfo) -> Tracker:
        return CsvFiles(study)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def run_trial(study: StudyInfo, number: int, **params: object) -> None:
    """One trial in a process of its own, as far as the tracker can tell."""
    tracker = CsvFiles(study)
    trial = make_trial(study, number, **params)
    tracker.on_start(trial)
    tracker.on_report(trial, Report(1, {"accuracy": 0.5, "loss": math.nan}, 1.23456))
    tracker.on_finish(trial, "complete", 0.5, 'stopped, "early"\nby asha')
    tracker.close()


def test_a_trial_and_its_metrics_are_read_back(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    run_trial(study, 3, lr=0.1, kind="a,b", none=None)
    assert rows(study.directory / "trials.csv") == [
        {
            "number": "3",
            "attempt": "1",
            "state": "complete",
            "value": "0.5",
            "reason": 'stopped, "early" by asha',
            "params_lr": "0.1",
            "params_kind": "a,b",
            "params_none": "",
        }
    ]
    metrics = rows(study.directory / "metrics.csv")
    assert [(row["step"], row["seconds"], row["metric"], row["value"]) for row in metrics] == [
        ("1", "1.235", "accuracy", "0.5"),
        ("1", "1.235", "loss", "nan"),
    ]


def test_a_continued_study_has_one_header_and_all_columns(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    run_trial(study, 0, lr=0.1)
    run_trial(study, 1, momentum=0.9)
    run_trial(study, 2, lr=0.2, momentum=0.8)
    trials = rows(study.directory / "trials.csv")
    assert [(row["number"], row["params_lr"], row["params_momentum"]) for row in trials] == [
        ("0", "0.1", ""),
        ("1", "", "0.9"),
        ("2", "0.2", "0.8"),
    ]
    assert len(rows(study.directory / "metrics.csv")) == 6
    assert {path.name for path in study.directory.iterdir()} == {"trials.csv", "metrics.csv"}


def test_a_line_torn_anywhere_is_removed_before_more_is_written(tmp_path: Path) -> None:
    """Every length that a killed machine may have left of the last line, the header's included."""
    path = tmp_path / "table.csv"
    for whole in (b"", b"a,b\n", b"a,b\n1,2\n"):
        for torn in (b"", b"3", b"3,", b'3,"half a', b"3,4"):
            path.write_bytes(whole + torn)
            table = Table(path, ("a", "b"))
            table.append({"a": 5, "b": 6})
            table.close()
            expected = [{"a": "1", "b": "2"}] if b"1,2" in whole else []
            assert rows(path) == [*expected, {"a": "5", "b": "6"}], (whole, torn)


def test_a_row_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    table = Table(tmp_path / "table.csv", ("a",))
    table.append({"a": 1})
    assert rows(tmp_path / "table.csv") == [{"a": "1"}]
    table.close()


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        CsvFiles(StudyInfo("bowl", "accuracy", "maximize", 1, tmp_path / "gone"))
