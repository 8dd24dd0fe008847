"""Studies that keep their checkpoints elsewhere: on S3 (moto's, on the loopback) from end to end, and in a folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from driving import curve, frozen, on_disk, open_study
from object_store import SECRET, Bucket
from stored import Offer, RunStudy, everything, models, rows, states, stored

from hpo_core import Ending, Event, Outcome, Report, Run, Trial, checkpoints, remote, runner, stores
from hpo_core.catalog import Catalog
from hpo_core.errors import HpoError, StoreError
from hpo_core.execution import execute
from hpo_core.runner import Wishes
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]
Made = Callable[..., StudySpec]

PROMOTING = "{name: promoting, best: 2}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    monkeypatch.setattr(remote, "WAITS", ())
    monkeypatch.setattr(stores, "CLOSING", 60.0)


@pytest.fixture
def made(saving_spec: SavingSpec) -> Made:
    """A study of trials that save their state somewhere."""

    def make(
        address: str, scheduler: str = PROMOTING, budget: str = "{trials: 4}", **changes: str
    ) -> StudySpec:
        extra = f"seed: 3\ncheckpoints: {address}\n" + changes.pop("extra", "")
        return saving_spec(scheduler, budget, **{"seed: 3\n": extra}, **changes)

    return make


def kept(keys: list[str]) -> set[str]:
    """The checkpoints among the keys of a bucket: `TRIAL/ATTEMPT/STEP`, as numbers."""
    found = set()
    for key in keys:
        match = re.fullmatch(r"hpo/[^/]+/(\d+)/attempt-(\d+)/step-(\d+)/[^/]+", key)
        assert match is not None, key
        found.add("/".join(str(int(number)) for number in match.groups()))
    return found


def below(bucket: Bucket) -> set[str]:
    return {key.split("/")[1] for key in bucket.keys()}


# ---- to the end ----


def test_a_study_pauses_resumes_registers_and_tidies_up(
    made: Made, run: RunStudy, bucket: Bucket, tmp_path: Path
) -> None:
    spec = made(f"{bucket.url}/hpo", extra="register: {best_as: bowl-model}\n")
    told = run(spec)
    assert sorted(states(spec)) == ["complete"] * 2 + ["pruned"] * 2
    for row in rows(spec):
        assert row.value == min(curve(**row.params, epochs=row.epochs))
    resumed = [event for event in told if event.data.get("origin") == "resumed"]
    assert len(resumed) == 2 and all(event.data["from_step"] == 1 for event in resumed)
    best = next(event for event in told if event.kind == "study_finished").data["best_trial"]
    (champion,) = kept(bucket.keys())
    assert champion.startswith(f"{best}/")
    (version,) = models(spec)
    assert Path(version.path).read_text() == f"{best}/{champion[-1]}"
    assert Path(version.path).is_relative_to(tmp_path)
    (folder,) = below(bucket)
    assert folder.startswith("bowl-")
    paths = {e.data["checkpoint"]["path"] for e in told if "checkpoint" in e.data}
    assert all(path.startswith(f"{bucket.url}/hpo/{folder}/000") for path in paths if path)
    assert told[0].data["checkpoints"] == f"{bucket.url}/hpo/{folder}"
    trials = Path(spec.directory, spec.study, "trials")
    assert [path for path in trials.rglob("*") if path.is_file()] == []  # not even scratch
    before = everything(spec)
    run(spec)
    assert everything(spec) == before


def test_where_checkpoints_lie_changes_no_result(
    made: Made, saving_spec: SavingSpec, run: RunStudy, bucket: Bucket, tmp_path: Path
) -> None:
    found = []
    places = [f"{bucket.url}/hpo", f"file://{tmp_path}/shared", f"{tmp_path}/plain", "null"]
    for number, address in enumerate(places):
        spec = made(address, **{"study: bowl": f"study: bowl-{number}"})
        run(spec)
        found.append([(row.state, row.value, row.epochs, row.attempt) for row in rows(spec)])
    assert found[0] == found[1] == found[2] == found[3]
    for folder in ("shared", "plain"):
        (saved,) = (tmp_path / folder).glob("*/*/attempt-*/*")
        assert (saved / checkpoints.MANIFEST).is_file()


def test_a_study_keeps_what_it_was_told_to_keep(made: Made, run: RunStudy, bucket: Bucket) -> None:
    spec = made(f"{bucket.url}/hpo", "none", "{trials: 4}", extra="keep: {best: 3}\n")
    run(spec)
    order = sorted(rows(spec), key=lambda row: float(row.value or 0))
    assert {int(each.split("/")[0]) for each in kept(bucket.keys())} == {
        row.number for row in order[:3]
    }


# ---- two studies, one place ----


def test_studies_of_one_name_never_touch_each_other(
    made: Made, run: RunStudy, bucket: Bucket, tmp_path: Path, catalog: Catalog
) -> None:
    first = made(f"{bucket.url}/hpo")
    run(first)
    theirs = set(bucket.keys())
    run(first, fresh=True)
    assert theirs < set(bucket.keys()) and len(below(bucket)) == 2
    (tmp_path / "other").mkdir()
    other = made(
        f"{bucket.url}/hpo",
        **{
            f"sqlite:///{tmp_path}/hpo.db": f"sqlite:///{tmp_path}/other/hpo.db",
            f"directory: {tmp_path}/runs": f"directory: {tmp_path}/other/runs",
        },
    )
    before = set(bucket.keys())
    run(other)
    assert before < set(bucket.keys()) and len(below(bucket)) == 3


def test_a_study_that_was_set_aside_still_has_its_checkpoints(
    made: Made, catalog: Catalog, run: RunStudy, bucket: Bucket
) -> None:
    spec = made(f"{bucket.url}/hpo", "{name: promoting, best: 1}", "{trials: 2}")
    study = open_study(spec, catalog)
    attempt(study, catalog, study.ask())  # paused after an epoch
    run(spec, fresh=True)
    aside = made(
        f"{bucket.url}/hpo",
        "{name: promoting, best: 1}",
        "{trials: 2}",
        **{"study: bowl": "study: bowl.1"},
    )
    before = len(below(bucket))
    told = run(aside)
    assert [event.data["reason"] for event in told if event.kind == "warning"] == []
    steps = [event.data["step"] for event in stored(aside) if event.kind == "report"]
    assert sorted(steps) == [1, 1, 2, 3] and len(below(bucket)) == before == 2


def test_a_study_may_move_while_it_is_continued(
    made: Made, saving_spec: SavingSpec, catalog: Catalog, run: RunStudy, bucket: Bucket
) -> None:
    spec = saving_spec("{name: promoting, best: 1}", "{trials: 1}")
    study = open_study(spec, catalog)
    attempt(study, catalog, study.ask())
    assert on_disk(spec) == {"0/1/1"}
    moved = made(f"{bucket.url}/hpo", "{name: promoting, best: 1}", "{trials: 1}")
    run(moved)
    steps = [event.data["step"] for event in stored(moved) if event.kind == "report"]
    assert steps == [1, 2, 3] and on_disk(spec) == set()
    assert kept(bucket.keys()) == {"0/2/3"} or kept(bucket.keys()) == {"0/2/2"}


def test_what_nobody_can_reach_any_more_is_not_deleted_and_said_so(
    made: Made, run: RunStudy, catalog: Catalog, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD_STORE", f"{bucket.url}/old")
    upwards = {"goal: minimize": "goal: maximize"}
    run(made("${env:OLD_STORE}", "none", "{trials: 1}", **upwards))
    theirs = set(bucket.keys())
    moved = made(f"{bucket.url}/hpo", "none", "{trials: 1}", **upwards)
    monkeypatch.delenv("OLD_STORE")
    told: list[Event] = []
    runner.run(moved, catalog, [told.append], Wishes(more=1))  # which is better
    (said,) = [event.data["reason"] for event in told if event.kind == "warning"]
    assert said.startswith("cannot delete ${env:OLD_STORE}/bowl-")
    assert "OLD_STORE}, which is not set here" in said
    assert theirs < set(bucket.keys())


# ---- damage and outages ----


def attempt(study: DrivenStudy, catalog: Catalog, trial: Trial | None) -> Outcome:
    """Run an attempt to its end, and say so."""
    assert trial is not None
    outcome = execute(trial, catalog, lambda report: study.report(trial, report))
    study.finish(trial, outcome)
    return outcome


def lost_after(study: DrivenStudy, catalog: Catalog, epoch: int) -> Trial:
    """The second attempt at a trial whose first one was lost after an epoch."""
    trial = study.ask()
    assert trial is not None

    def send(report: Report) -> Any:
        decision = study.report(trial, report)
        if report.step == epoch:
            raise SystemExit
        return decision

    with pytest.raises(SystemExit):
        execute(trial, catalog, send)
    study.finish(trial, Outcome(Ending.LOST, "gone"))
    again = study.ask()
    assert again is not None
    return again


@pytest.mark.parametrize(("damaged", "steps"), [(0, [4, 5]), (1, [3, 4, 5]), (2, [1, 2, 3, 4, 5])])
def test_a_flipped_bit_falls_back_to_the_one_before(
    made: Made, catalog: Catalog, bucket: Bucket, damaged: int, steps: list[int]
) -> None:
    spec = made(
        f"{bucket.url}/hpo", "none", "{trials: 1}", **{"name: saving,": "name: saving, epochs: 5,"}
    )
    study = open_study(spec, catalog)
    trial = lost_after(study, catalog, 3)
    assert [each.step for each in trial.checkpoints] == [3, 2]
    for checkpoint in trial.checkpoints[:damaged]:
        bucket.flip(f"{checkpoint.path.removeprefix(bucket.url + '/')}/state.json")
    before = len(stored(spec))
    assert attempt(study, catalog, trial) == Outcome(Ending.COMPLETED)
    events = stored(spec)[before:]
    assert [event.data["step"] for event in events if event.kind == "report"] == steps
    warnings = [event.data["reason"] for event in events if event.kind == "warning"]
    for said, step in zip(warnings, (3, 2)[:damaged], strict=True):
        assert said.startswith(f"the checkpoint after epoch {step} is damaged: {bucket.url}/hpo/")
        assert "its sha256 is another" in said
    (done,) = frozen(spec)
    assert list(done.intermediate_values.values()) == curve(**trial.params, epochs=5)


@pytest.fixture
def away(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Takes the store away, and brings it back."""
    library = fsspec.get_filesystem_class("s3")
    here = os.environ["AWS_ENDPOINT_URL"]

    def go(gone: bool) -> None:
        library.clear_instance_cache()
        monkeypatch.setattr(library, "retries", 1 if gone else 5)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9" if gone else here)

    return go


def test_a_store_that_goes_away_pauses_the_study_and_costs_no_trial(
    made: Made,
    run: RunStudy,
    catalog: Catalog,
    offer: Offer,
    bucket: Bucket,
    away: Callable[[bool], None],
) -> None:
    original = catalog.entry("objectives", "saving").factory

    def saving(run: Run, *, x: float, y: float, epochs: int = 3) -> None:
        if run.trial.number == 1 and run.trial.attempt == 1:
            away(True)
        original(run, x=x, y=y, epochs=epochs)

    offer("objectives", "leaving", saving)
    spec = made(f"{bucket.url}/hpo", "none", "{trials: 3}", **{"name: saving,": "name: leaving,"})
    with pytest.raises(StoreError) as caught:
        runner.run(spec, catalog, [])
    said = str(caught.value)
    assert f"manifest.json in {bucket.url}/hpo/bowl-" in said and "Could not connect" in said
    assert "paused with 1 finished trials; mend that and run the same command again" in said
    assert caught.value.exit_code == 5
    assert states(spec) == ["complete", "paused"]
    with pytest.raises(StoreError, match="checkpoints cannot be kept in s3://"):  # still away
        runner.run(spec, catalog, [])
    away(False)
    run(spec)
    assert states(spec) == ["complete"] * 3
    assert [row.attempt for row in rows(spec)] == [1, 2, 1]
    for row in rows(spec):
        assert row.value == min(curve(**row.params, epochs=3))


def test_a_store_that_is_away_is_no_damage(
    made: Made, catalog: Catalog, bucket: Bucket, away: Callable[[bool], None]
) -> None:
    spec = made(f"{bucket.url}/hpo", "none", "{trials: 1}")
    study = open_study(spec, catalog)
    trial = lost_after(study, catalog, 2)
    away(True)
    outcome = attempt(study, catalog, trial)
    assert outcome.ending is Ending.INTERRUPTED and "Could not connect" in outcome.reason
    assert study.blocked == outcome.reason and study.requeued == 1
    away(False)
    again = open_study(spec, catalog)
    assert attempt(again, catalog, again.ask()) == Outcome(Ending.COMPLETED)
    assert [e.data["step"] for e in stored(spec) if e.kind == "report"] == [1, 2, 3]


def test_a_model_that_cannot_be_fetched_is_registered_by_the_next_run(
    made: Made,
    run: RunStudy,
    catalog: Catalog,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"{bucket.url}/hpo"
    spec = made(address, "none", extra="register: {best_as: bowl-model}\n")
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> None:
            raise PermissionError("not you")

        patch.setattr(fsspec.get_filesystem_class("s3"), "get_file", refuse)
        with pytest.raises(StoreError, match=r"cannot be registered: cannot fetch .*not you"):
            runner.run(spec, catalog, [])
    (key,) = [key for key in bucket.keys() if key.endswith("safetensors")]
    bucket.flip(key)
    with pytest.raises(HpoError, match=r"it is damaged: s3://.*safetensors was changed"):
        runner.run(spec, catalog, [])
    assert models(spec) == []
    bucket.flip(key)
    run(spec)
    assert len(models(spec)) == 1
    assert list(Path(spec.directory, spec.study).glob(".*")) == []


# ---- secrets ----


def test_no_secret_is_written_anywhere(
    made: Made, run: RunStudy, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_STORE", f"{bucket.url}/hpo/token-in-the-path")
    spec = made("${env:TEAM_STORE}", extra="register: {best_as: bowl-model}\n")
    told = run(spec)
    assert any(key.startswith("hpo/token-in-the-path/bowl-") for key in bucket.keys())
    assert told[0].data["checkpoints"].startswith("${env:TEAM_STORE}/bowl-")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    written += b"".join(bucket.read(key) for key in bucket.keys())
    assert b"${env:TEAM_STORE}" in written
    for secret in (SECRET, "token-in-the-path"):
        assert secret.encode() not in written


# ---- the command, its workers and a kill ----

OBJECTIVE = """\
import json, os

def train(run, x):
    loss, done = 100.0, 0
    if run.restored is not None:
        loss = json.loads((run.restored.path / "state.json").read_text())["loss"]
        done = run.restored.step
    for epoch in range(done + 1, 4):
        loss = 0.5 * loss + (x - 1) ** 2 / epoch
        with run.checkpoint(epoch) as folder:
            (folder / "state.json").write_text(json.dumps({"loss": loss}))
            (folder / "model.safetensors").write_text(str(run.trial.number))
        if run.report(epoch, {"loss": loss, "pid": os.getpid()}).stop:
            return
"""
STUDY = """\
study: elsewhere
metric: {name: loss, goal: minimize}
budget: {trials: 4}
objective: {name: python, call: "saver:train", arguments: {x: {float: [-10, 10]}}}
sampler: {name: random}
trial_scheduler: {name: asha-promotion, min_epochs: 1, reduction_factor: 2, max_epochs: 3}
executor: {name: processes, workers: 2}
register: {best_as: elsewhere}
"""


def hpo(folder: Path, *words: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("hpo")), *words],
        cwd=folder,
        env=os.environ | ({"HPO_FAULT": fault} if fault else {}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def events(ran: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.slow
def test_another_worker_continues_what_one_has_paused(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "saver.py").write_text(OBJECTIVE)
    address = f"checkpoints={bucket.url}/hpo"
    command = ("run", "study.yaml", "--allow-code", "--json", address)
    ran = hpo(
        tmp_path, *command, fault="checkpoint.publish:3:kill"
    )  # of each worker that gets there
    assert ran.returncode == 0, ran.stderr
    told = events(ran)
    assert told[-1]["event"] == "model_registered"
    lost = [each for each in told if each["event"] == "trial_lost"]
    assert lost and all("SIGKILL" in each["reason"] for each in lost)
    by: dict[int, list[tuple[int, float]]] = {}
    for each in told:
        if each["event"] == "report":
            by.setdefault(each["trial"], []).append((each["step"], each["metrics"]["pid"]))
    handed = [steps for steps in by.values() if len({pid for _, pid in steps}) > 1]
    assert handed  # continued by another process than the one that saved
    assert all(
        [step for step, _ in steps] == sorted({step for step, _ in steps}) for steps in handed
    )
    params = {each["trial"]: each["params"] for each in told if each["event"] == "trial_started"}
    for each in told:
        if each["event"] == "trial_finished":
            losses = curve(params[each["trial"]]["arguments.x"], 0.0, each["steps"])
            assert each["value"] == min(losses)
    assert len(kept(bucket.keys())) == 1  # what killed workers had sent is gone
    assert list((tmp_path / "runs").rglob(".*")) == []
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_kill_while_a_checkpoint_is_sent_leaves_nothing_that_counts(
    bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "saver.py").write_text(OBJECTIVE)
    address = f"checkpoints={bucket.url}/hpo"
    command = ("run", "study.yaml", "--allow-code", "--json", "executor=inline", address)
    first = hpo(tmp_path, *command, fault="checkpoint.publish:3:kill")
    assert first.returncode == -9
    folders: dict[str, set[str]] = {}
    for key in bucket.keys():
        folder, _, name = key.rpartition("/")
        folders.setdefault(folder, set()).add(name)
    whole = {"state.json", "model.safetensors", checkpoints.MANIFEST}
    (half,) = [folder for folder, names in folders.items() if names != whole]
    assert checkpoints.MANIFEST not in folders[half]
    second = hpo(tmp_path, *command)
    assert second.returncode == 0, second.stderr
    assert events(second)[-1]["event"] == "model_registered"
    assert not [each for each in events(second) if each["event"] == "warning"]
    assert len(kept(bucket.keys())) == 1
    assert not [key for key in bucket.keys() if key.startswith(f"{half}/")]
    assert list((tmp_path / "runs").rglob(".*")) == []
    third = hpo(tmp_path, "why", "elsewhere", "0")
    assert re.search(rf"checkpoints? saved, the last to {bucket.url}/hpo/elsewhere-", third.stdout)
