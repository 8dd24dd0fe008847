"""Whole studies of small real trainings on the session's cluster: the same as elsewhere, and after `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import decisions, frozen, on_disk, results
from object_store import Bucket
from stored import stored

from hpo_core import plugins, runner
from hpo_core.spec import StudySpec, check
from hpo_core.yaml_source import parse

pytestmark = pytest.mark.ray

HPO = Path(sys.executable).with_name("hpo")
CODE = Path(__file__).resolve().parents[3] / "tests"  # softmax.py
STUDY = """\
study: digits
metric: {{name: accuracy, goal: maximize}}
budget: {{trials: {trials}}}
seed: 3
objective:
  name: python
  call: softmax:train
  arguments: {{lr: {{float: [0.001, 1.0], log: true}}, decay: {{float: [1.0e-6, 0.1], log: true}}, passes: {passes}}}
  epochs: 9
sampler: {{name: tpe, startup_trials: 4}}
trial_scheduler: {scheduler}
executor: {executor}
storage: sqlite:///{folder}/hpo.db
directory: runs
"""
PROMOTION = "{name: asha-promotion, min_epochs: 1, reduction_factor: 3}"


def study(folder: Path, executor: str, **changes: Any) -> str:
    """The study's file as a text."""
    folder.mkdir(exist_ok=True)
    options = {"trials": 8, "passes": 1, "scheduler": PROMOTION} | changes
    return STUDY.format(folder=folder, executor=executor, **options)


def run(text: str) -> StudySpec:
    """Run a study in this process."""
    catalog, _ = plugins.load()
    spec = check(parse(text, "digits.yaml"), catalog, CODE / "digits.yaml")
    assert runner.run(spec, catalog, [], runner.Wishes(allow_code=True)) is None
    return spec


def test_the_same_trials_values_and_promotions_as_processes(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories are relative: a slot works where the driver does."""
    specs = []
    for executor in (
        "{name: processes, workers: 1}",
        f"{{name: ray, workers: 1, address: {cluster}}}",
    ):
        folder = tmp_path / executor[7:10]
        text = study(folder, executor)
        monkeypatch.chdir(folder)
        specs.append(run(text))
        assert on_disk(specs[-1])
    there, here = specs
    assert results(there) == results(here)
    assert decisions(there) == decisions(here)
    states = [trial.state.name for trial in frozen(here)]
    assert states.count("COMPLETE") >= 1 and states.count("PRUNED") >= 1


def test_trials_resume_from_a_store_that_every_node_reaches(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    monkeypatch.chdir(tmp_path)
    here = run(study(tmp_path / "here", "{name: processes, workers: 1}"))
    text = study(tmp_path / "there", f"{{name: ray, workers: 1, address: {cluster}}}")
    there = run(f"{text}checkpoints: {bucket.url}\n".replace("directory: runs", "directory: more"))
    assert results(there) == results(here)
    assert any(event.data.get("origin") == "resumed" for event in stored(there))
    assert {key.split("/")[-1] for key in bucket.keys()} >= {"manifest.json"}
    assert not [path for path in (tmp_path / "more").rglob("step-*")]


def test_clones_begin_with_their_parents_checkpoints(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executor = f"{{name: ray, workers: 1, resources: {{cpu: 1, bench: 0.5}}, address: {cluster}}}"
    scheduler = "{name: pbt, population: 4, interval: 3}"
    spec = run(study(tmp_path, executor, scheduler=scheduler))
    clones = [trial for trial in frozen(spec) if trial.user_attrs.get("parent") is not None]
    assert clones
    for clone in clones:
        begun = [line.split() for line in (tmp_path / "begun").read_text().splitlines()]
        first = next(line for line in begun if line[:2] == [str(clone.number), "1"])
        assert int(first[2]) == clone.user_attrs["parent_step"] > 0


def test_a_driver_that_is_killed_leaves_nothing_and_the_same_command_continues(
    cluster: str, tmp_path: Path
) -> None:
    executor = f"{{name: ray, workers: 2, address: {cluster}}}"
    turns, file = tmp_path / "turns", tmp_path / "digits.yaml"
    turns.write_text("2")  # the trials after these two begin and wait
    file.write_text(study(tmp_path, executor, scheduler="none", passes=8))
    command = [str(HPO), "run", str(file), "--allow-code", "--json"]
    environment = os.environ | {"PYTHONPATH": str(CODE)}
    driver = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    finished = 0
    with driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            finished += json.loads(line)["event"] == "trial_finished"
            if finished == 2:
                break
        assert templates(tmp_path)
        driver.send_signal(signal.SIGKILL)
    await_end_of_templates(tmp_path)
    turns.unlink()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]  # nothing else is there
    assert "ray" not in done.stderr.lower().replace("/hpo-ray/", ""), done.stderr
    assert events[-1]["event"] == "study_finished" and events[-1]["finished"] == 8
    assert [event["event"] for event in events].count("trial_finished") == 6, "not run again"
    await_end_of_templates(tmp_path)


def await_end_of_templates(folder: Path) -> None:
    """Wait until nothing of a driver's slots is left."""
    deadline = time.monotonic() + 60
    while templates(folder):
        assert time.monotonic() < deadline, "a slot outlives its driver"
        time.sleep(0.1)


def templates(folder: Path) -> list[psutil.Process]:
    """The templates that slots have started for drivers in a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "hpo_core.workers.template" in (process.info["cmdline"] or ())
        and process.info["cwd"] == str(folder)
    ]
