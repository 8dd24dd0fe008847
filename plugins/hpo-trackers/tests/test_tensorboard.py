"""The tracker `tensorboard`: its event files read back record by record, checksums included."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hpo_trackers.tensorboard import TensorBoard
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import masked_crc32c

from hpo_core import Report, StudyInfo, Tracker
from hpo_core.testing.tracking import TrackerContract, make_study, make_trial


class TestTensorBoard(TrackerContract):
    def build(self, study: StudyInfo) -> Tracker:
        return TensorBoard(study)


def events(path: Path) -> Iterator[Any]:
    """The events of a file in the TFRecord format: length, its checksum, data, its checksum."""
    data = path.read_bytes()
    while data:
        length, checksum = struct.unpack("<QI", data[:12])
        body = data[12 : 12 + length]
        assert checksum == masked_crc32c(data[:8])
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (masked_crc32c(body),)
        yield Event.FromString(body)
        data = data[16 + length :]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag over all event files of a run."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in events(path):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def run(study: StudyInfo, number: int, attempt: int = 1, **params: object) -> Path:
    tracker = TensorBoard(study)
    trial = make_trial(study, number, attempt, **params)
    tracker.on_start(trial)
    tracker.on_report(trial, Report(1, {"accuracy": 0.5, "val/loss": math.nan}))
    tracker.on_report(trial, Report(2, {"accuracy": 0.75}))
    tracker.on_finish(trial, "complete", 0.75, "")
    tracker.close()
    return study.directory / "tensorboard" / f"trial-{number:04d}"


def test_each_metric_is_a_curve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = run(make_study(tmp_path), 1)
    found = scalars(folder)
    assert found["accuracy"] == [(1, 0.5), (2, 0.75)]
    [(step, value)] = found["val/loss"]
    assert step == 1 and math.isnan(value)
    assert found["hparam/accuracy"] == [(0, 0.75)]
    assert caplog.records == [], "NaN is no news"


def test_parameters_are_a_session_of_the_hparams_page(tmp_path: Path) -> None:
    folder = run(make_study(tmp_path), 0, lr=0.1, kind="sgd", bias=True, layers=[1, 2])
    data = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for path in folder.iterdir()
        for event in events(path)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    }
    hparams = data["_hparams_/session_start_info"].session_start_info.hparams
    assert hparams["lr"].number_value == pytest.approx(0.1)
    assert hparams["kind"].string_value == "sgd" and hparams["layers"].string_value == "[1, 2]"
    assert hparams["bias"].bool_value is True and hparams["state"].string_value == "complete"
    [metric] = data["_hparams_/experiment"].experiment.metric_infos
    assert metric.name.tag == "hparam/accuracy"
    assert "_hparams_/session_end_info" in data


def test_a_second_attempt_purges_the_first_one_s_curve(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    tracker = TensorBoard(study)
    tracker.on_start(make_trial(study, 0))
    tracker.on_report(make_trial(study, 0), Report(1, {"accuracy": 0.1}))
    tracker.close()
    folder = run(study, 0, attempt=2)
    first, second = sorted(folder.iterdir(), key=lambda path: path.name.rpartition("-")[2])
    assert any(event.HasField("summary") for event in events(first))
    logs = [event for event in events(second) if event.HasField("session_log")]
    assert [event.step for event in logs] == [1]


def test_an_attempt_in_the_same_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    tracker = TensorBoard(study)
    for attempt in (1, 2):
        tracker.on_start(make_trial(study, 0, attempt))
        tracker.on_report(make_trial(study, 0, attempt), Report(1, {"accuracy": attempt / 10}))
    tracker.close()
    folder = study.directory / "tensorboard" / "trial-0000"
    assert len(list(folder.iterdir())) == 2
    assert [value for _, value in scalars(folder)["accuracy"]] == pytest.approx([0.1, 0.2])
