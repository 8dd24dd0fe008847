"""Where a crash or a full disk is feigned, and what a full disk does to a study: it waits, whole, to be continued."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import curve
from stored import Offer, RunStudy, models, rows, states, stored

from hpo_core import Run, faults, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import DiskFullError, StorageError
from hpo_core.spec import StudySpec

SavingSpec = Callable[..., StudySpec]
Plan = Callable[[str | None], None]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Sets HPO_FAULT and counts from the beginning."""

    def set_plan(text: str | None) -> None:
        monkeypatch.setattr(faults, "_hits", Counter())
        if text is None:
            monkeypatch.delenv("HPO_FAULT", raising=False)
        else:
            monkeypatch.setenv("HPO_FAULT", text)

    set_plan(None)
    return set_plan


# ---- points ----


def test_without_a_plan_nothing_happens(plan: Plan) -> None:
    for name in faults.POINTS:
        faults.point(name)


def test_a_full_disk_comes_at_the_nth_time_and_goes(plan: Plan) -> None:
    plan("checkpoint.write:3:full")
    hits = []
    for hit in range(1, 6):
        faults.point("checkpoint.rename")  # others are not counted
        try:
            faults.point("checkpoint.write")
        except OSError as error:
            hits.append((hit, error.errno))
    assert hits == [(3, errno.ENOSPC)]


def test_a_kill_is_a_kill(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(given))
    plan("ledger.committed:1:kill")
    with pytest.raises(ValueError, match="'kill' is neither"):  # not reached by a process that died
        faults.point("ledger.committed")
    assert sent == [(os.getpid(), signal.SIGKILL)]


def test_a_plan_that_makes_no_sense_is_an_error(plan: Plan) -> None:
    plan("lease.take:1:melt")
    with pytest.raises(ValueError, match="'melt' is neither kill nor full"):
        faults.point("lease.take")


def test_a_point_that_is_not_listed_is_an_error(plan: Plan) -> None:
    plan("lease.take:1:kill")
    with pytest.raises(AssertionError, match=r"ledger\.elsewhere"):
        faults.point("ledger.elsewhere")


def test_every_listed_point_is_somewhere() -> None:
    root = Path(faults.__file__).parent
    source = "".join(path.read_text() for path in root.rglob("*.py") if path.name != "faults.py")
    assert [name for name in faults.POINTS if f'point("{name}")' not in source] == []


# ---- a full disk, in this process ----


class SafetensorError(Exception):
    """As safetensors', which the core does not import: it is no OSError."""


FULL: dict[str, tuple[Exception, str]] = {
    "disk": (OSError(errno.ENOSPC, "No space left", "/data/events.log"), "/data/events.log"),
    "quota": (OSError(errno.EDQUOT, "Quota exceeded", "/data/events.log"), "/data/events.log"),
    "safetensors": (
        SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
        "/trials/0001/attempt-1",
    ),
}


@pytest.mark.parametrize("who", FULL)
def test_an_objective_that_finds_the_disk_full_pauses_the_study(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, offer: Offer, who: str
) -> None:
    error, where = FULL[who]
    full = [True]

    def writing(run: Run, *, x: float, y: float) -> float:
        if run.trial.number == 1 and full[0]:
            raise error
        return x

    offer("objectives", "writing", writing)
    spec = saving_spec("none", "{trials: 3}", **{"name: saving,": "name: writing,"})
    with pytest.raises(DiskFullError) as caught:
        runner.run(spec, catalog, [])
    assert caught.value.exit_code == StorageError.exit_code == 5
    said = str(caught.value)
    assert re.search(f"no space left on the disk of [^ ]*{where}: ", said)
    assert "1 finished trials" in said and "run the same command again" in said
    assert states(spec) == ["complete", "paused"]
    last = stored(spec)[-1]
    assert last.kind == "study_stopped" and "no space left" in last.data["reason"]
    with pytest.raises(DiskFullError):  # still full: nothing is lost by trying
        runner.run(spec, catalog, [])
    full[0] = False
    run(spec)
    assert states(spec) == ["complete"] * 3
    assert [row.attempt for row in rows(spec)] == [1, 3, 1]  # and it was no loss


@pytest.mark.parametrize("hit", [1, 2, 5, 8])
def test_a_checkpoint_that_finds_the_disk_full_costs_no_epoch_before_it(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, plan: Plan, hit: int
) -> None:
    spec = saving_spec("{name: promoting, best: 2}", "{trials: 4}")
    plan(f"checkpoint.write:{hit}:full")
    with pytest.raises(DiskFullError, match="no space left on the disk"):
        runner.run(spec, catalog, [])
    assert not {"running", "fail"} & set(states(spec))
    plan(None)
    told = run(spec)
    assert sorted(states(spec)) == ["complete"] * 2 + ["pruned"] * 2
    for row in rows(spec):
        assert row.value == min(curve(**row.params, epochs=row.epochs))
    steps = [(e.trial, e.data["step"]) for e in stored(spec) if e.kind == "report"]
    assert len(steps) == len(set(steps)) == told[-1].data["epochs"] == 8


def test_a_commit_that_finds_the_disk_full_pauses_the_study(
    saving_spec: SavingSpec, run: RunStudy, catalog: Catalog, plan: Plan
) -> None:
    for hit in range(1, 30):
        spec = saving_spec("none", "{trials: 2}", **{"study: bowl": f"study: full-{hit}"})
        plan(f"ledger.write:{hit}:full")
        try:
            runner.run(spec, catalog, [])
            break
        except DiskFullError as error:
            assert "disk" in str(error)
        assert "running" not in states(spec)
        plan(None)
        run(spec)
        assert states(spec) == ["complete"] * 2
        assert [event.seq for event in stored(spec)] == list(range(len(stored(spec))))
    assert 4 <= hit < 29


# ---- a full disk, by the command line ----

OBJECTIVE = """\
import json

def train(run, x):
    loss, done = 100.0, 0
    if run.restored is not None:
        loss = json.loads((run.restored.path / "state.json").read_text())["loss"]
        done = run.restored.step
    for epoch in range(done + 1, 4):
        loss = 0.5 * loss + (x - 1) ** 2 / epoch
        with run.checkpoint(epoch) as folder:
            (folder / "state.json").write_text(json.dumps({"loss": loss}))
            (folder / "model.safetensors").write_text(str(loss))
        if run.report(epoch, {"loss": loss}).stop:
            return
"""
STUDY = """\
study: full
metric: {name: loss, goal: minimize}
budget: {trials: 3}
objective: {name: python, call: "saver:train", arguments: {x: {float: [-10, 10]}}}
sampler: {name: random}
executor: {name: inline}
register: {best_as: full}
"""


def hpo(folder: Path, *words: str, fault: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("hpo")), *words],
        cwd=folder,
        env=os.environ | ({} if fault is None else {"HPO_FAULT": fault}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_same_command_continues_when_there_is_room_again(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "saver.py").write_text(OBJECTIVE)
    command = ("run", "study.yaml", "--allow-code")

    def trials() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(hpo(tmp_path, "trials", "full", "--json").stdout)
        return found

    first = hpo(tmp_path, *command, fault="checkpoint.write:5:full")
    assert first.returncode == 5, first.stderr
    assert "no space left on the disk" in first.stderr
    assert "run the same command again" in " ".join(first.stderr.split())
    assert "Traceback" not in first.stderr
    assert [trial["state"] for trial in trials()] == ["complete", "paused"]
    assert trials()[1]["epochs"] == 1
    second = hpo(tmp_path, *command)
    assert second.returncode == 0, second.stderr
    assert [trial["state"] for trial in trials()] == ["complete"] * 3
    for trial in trials():
        assert trial["value"] == min(curve(trial["params"]["arguments.x"], 0.0, 3))
    assert [trial["attempt"] for trial in trials()] == [1, 2, 1]


def test_the_full_disk_is_that_of_the_checkpoints(
    saving_spec: SavingSpec,
    run: RunStudy,
    catalog: Catalog,
    offer: Offer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writing to an open file fails without a name; what a reference stands for is not told."""
    monkeypatch.setenv("SHARED", f"{tmp_path}/shared")

    def writing(run: Run, *, x: float, y: float) -> float:
        with run.checkpoint(1):
            raise OSError(errno.ENOSPC, "No space left")

    offer("objectives", "writing", writing)
    changes = {"name: saving,": "name: writing,", "seed: 3": "seed: 3\ncheckpoints: ${env:SHARED}"}
    with pytest.raises(
        DiskFullError, match=r"disk of \$\{env:SHARED\}/bowl-[0-9a-f]+/0000/attempt-1:"
    ):
        runner.run(saving_spec("none", "{trials: 1}", **changes), catalog, [])


@pytest.mark.parametrize("point", ["model.write", "model.rename", "model.insert"])
def test_a_model_that_finds_the_disk_full_is_registered_by_the_next_run(
    saving_spec: SavingSpec, catalog: Catalog, plan: Plan, run: RunStudy, point: str
) -> None:
    """Its sentence names the disk that is full: the models' one, which need not be that of the checkpoints."""
    spec = saving_spec("none", "{trials: 2}", **{"seed: 3": "seed: 3\nregister: {best_as: bowl}"})
    plan(f"{point}:1:full")
    with pytest.raises(DiskFullError) as caught:
        runner.run(spec, catalog, [])
    assert caught.value.exit_code == 5
    said = str(caught.value)
    assert f"no space left on the disk of {spec.directory}/models" in said
    assert said.endswith("make room and run the same command again")
    assert states(spec) == ["complete"] * 2 and models(spec) == []
    run(spec)
    (version,) = models(spec)
    assert [path.name for path in Path(version.path).parents[1].iterdir()] == ["1"]
