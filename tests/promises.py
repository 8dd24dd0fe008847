"""What no crash may break: the promises P1 to P10, as checks on what a study left in its database and its folder.

They read the tables and the files themselves and ask nothing of the engine that made them, so that a wrong answer of
its own cannot hide a broken promise.

===  ==================================================================  =======================================
P1   what was said to be stored is there after `kill -9`                 `assert_told_is_stored`
P2   a finished trial never changes                                      `assert_nothing_rewritten`
P3   exactly the budget, every execution with a number of its own        `assert_over`
P4   no trial runs without a driver                                      `assert_over`
P5   a model version points to complete bytes of its sha256              `assert_models_are_whole`
P6   no process outlives a run                                           `assert_nothing_runs`
P7   no partial file under a final name, none left at the end            `assert_files_are_whole`, `assert_tidy`
P8   at most one epoch of each running trial is lost by a crash          `repeated`
P9   the same suggestions, decisions and values as without the crash     `story`
P10  a failure is one line with a next step                              `assert_readable`
===  ==================================================================  =======================================
"""

from __future__ import annotations

import collections
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
import yaml
from sqlalchemy import select

from hpo_core.storage import tables

FINISHED = ("COMPLETE", "PRUNED", "FAIL")
Row = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """All rows that a database holds of a study at one moment; rows of trials by the trial's number."""

    trials: dict[int, Row]
    details: dict[int, dict[str, list[Row]]]  # by number, then by table
    events: list[Row]  # `data` is parsed
    versions: list[Row]
    lease: Row

    @property
    def finished(self) -> dict[int, Any]:
        """Everything that is stored of the trials that are finished."""
        ended = [number for number, row in self.trials.items() if row["state"] in FINISHED]
        return {number: (self.trials[number], self.details[number]) for number in ended}

    def states(self) -> dict[str, int]:
        """How many trials are in each of Optuna's states."""
        return dict(collections.Counter(row["state"] for row in self.trials.values()))


_ONE_MOMENT = {
    "sqlite": "BEGIN",
    "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
}
"""All queries then see the same: a server may still be busy with what a driver sent before it was killed."""


def look(storage: str, study: str) -> Moment | None:
    """What is stored of a study now; None when there is no such study."""
    engine = sqlalchemy.create_engine(storage)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(_ONE_MOMENT[engine.dialect.name])
            found = connection.execute(
                select(tables.studies.c.study_id).where(tables.studies.c.study_name == study)
            ).scalar_one_or_none()
            return None if found is None else _read(connection, found, study)
    finally:
        engine.dispose()


_DETAILS = (
    tables.trial_params,
    tables.trial_values,
    tables.trial_intermediate_values,
    tables.trial_user_attributes,
    tables.trial_system_attributes,
)


def _read(connection: sqlalchemy.Connection, study_id: int, study: str) -> Moment:
    def rows(table: sqlalchemy.Table, condition: Any) -> list[Row]:
        query = select(table).where(condition).order_by(*table.primary_key)
        return [dict(row._mapping) for row in connection.execute(query)]

    trials = {
        row["number"]: row for row in rows(tables.trials, tables.trials.c.study_id == study_id)
    }
    details: dict[int, dict[str, list[Row]]] = {
        number: {table.name: [] for table in (*_DETAILS, tables.hpo_metrics)} for number in trials
    }
    numbers = {row["trial_id"]: number for number, row in trials.items()}
    for table in _DETAILS:
        for row in rows(table, table.c.trial_id.in_(numbers)):
            details[numbers[row["trial_id"]]][table.name].append(row)
    for row in rows(tables.hpo_metrics, tables.hpo_metrics.c.study_id == study_id):
        details[row["trial"]]["hpo_metrics"].append(row)
    events = rows(tables.hpo_events, tables.hpo_events.c.study_id == study_id)
    versions = rows(tables.hpo_model_versions, tables.hpo_model_versions.c.study == study)
    lease = rows(tables.hpo_leases, tables.hpo_leases.c.study_id == study_id)
    parsed = [event | {"data": json.loads(event["data"])} for event in events]
    return Moment(trials, details, parsed, versions, lease[0] if lease else {"owner": ""})


# ---- after a kill ----


def assert_told_is_stored(told: str, moment: Moment | None) -> None:
    """P1: every event that a run printed (`--json`, lines) is stored as it was printed."""
    stored = {} if moment is None else {event["seq"]: event for event in moment.events}
    for line in told.splitlines(keepends=True):
        if not line.endswith("\n"):
            continue  # the kill came while it was being printed
        said = json.loads(line)
        row = stored.get(said["seq"])
        assert row is not None, f"told and lost: {line}"
        assert row["kind"] == said["event"] and row["trial"] == said.get("trial"), line
        # a command that finds the study finished says its first event again, with how far it is now
        anew = _STANDING if said["event"] == "study_started" else ()
        data = {key: value for key, value in row["data"].items() if key not in anew}
        assert {key: said[key] for key in data} == data, line


_STANDING = ("continued", "finished", "target", "epochs", "seconds")


def assert_files_are_whole(folder: Path) -> None:
    """P7: what has its final name is complete: checkpoints, descriptions, model versions."""
    stored = [path.parent for path in folder.glob("store/*/*/attempt-*/step-*/manifest.json")]
    for checkpoint in (*folder.glob("runs/*/trials/*/attempt-*/checkpoints/step-*"), *stored):
        manifest = json.loads((checkpoint / "manifest.json").read_bytes())
        assert "model.safetensors" in manifest
        for name, about in manifest.items():
            assert _sha256(checkpoint / name) == about["sha256"], checkpoint / name
    for path in folder.glob("runs/*/study.yaml"):
        assert yaml.safe_load(path.read_text())["metric"]
    for path in folder.glob("runs/*/environment.json"):
        assert json.loads(path.read_text())["versions"]


def assert_models_are_whole(folder: Path, moment: Moment | None) -> None:
    """P5: every model version names a file with its sha256."""
    for version in [] if moment is None else moment.versions:
        assert _sha256(folder / version["path"]) == version["sha256"], version["path"]


def assert_readable(code: int, err: str) -> None:
    """P10: a command that looks at the study answers, or says in one line why it cannot."""
    assert "Traceback" not in err, err
    assert code == 0 or (err.startswith("error: ") and err.count("\n") == 1), (code, err)


# ---- after the study was continued ----


def assert_nothing_rewritten(before: Moment | None, after: Moment) -> None:
    """P1, P2: what was stored is still so: every event, and every row of a finished trial."""
    if before is not None:
        assert after.events[: len(before.events)] == before.events
        assert {number: after.finished[number] for number in before.finished} == before.finished


def assert_over(moment: Moment, trials: int, max_attempts: int = 3) -> None:
    """P3, P4: exactly so many trials, all finished once, each attempt told by its number, and nobody drives."""
    assert list(moment.trials) == list(range(trials))
    assert set(moment.states()) <= set(FINISHED), moment.states()
    assert moment.lease["owner"] == ""
    assert [event["seq"] for event in moment.events] == list(range(len(moment.events)))
    for number in moment.trials:
        ours = [event for event in moment.events if event["trial"] == number]
        ours = [event for event in ours if event["kind"] != "model_registered"]  # it comes last
        begun = [event["data"]["attempt"] for event in ours if event["kind"] == "trial_started"]
        assert begun == list(range(1, len(begun) + 1))
        kinds = [event["kind"] for event in ours]
        assert kinds.count("trial_finished") == 1 and kinds[-1] == "trial_finished", kinds
        assert kinds.count("trial_lost") <= max_attempts
        said = ours[-1]["data"]
        assert said["state"].upper() == moment.trials[number]["state"]
        values = [row["value"] for row in moment.details[number]["trial_values"]]
        assert values == ([] if said["value"] is None else [said["value"]])


def assert_tidy(folder: Path, moment: Moment, best: int = 1) -> None:
    """P7: no temporary file, no checkpoint but the best trials', model versions without gaps and without strays."""
    runs = folder / "runs"
    left = [path for path in runs.rglob("*") if path.name.startswith(".")]
    assert not left, left
    saved = sorted(runs.glob("*/trials/*/attempt-*/checkpoints/*"))
    files = [path for path in (folder / "store").rglob("*") if path.is_file()]
    saved += {path.parent for path in files}
    assert len(saved) == best, saved
    stored = {row["version"]: folder / row["path"] for row in moment.versions}
    assert sorted(stored) == list(range(1, len(stored) + 1)), stored
    folders = sorted(runs.glob("models/*/*"))
    assert folders == sorted(path.parent for path in stored.values()), folders


def story(moment: Moment) -> dict[str, Any]:
    """P9: what must not depend on whether the study was killed: proposals, results, decisions, and their order."""
    told = [event for event in moment.events if event["kind"] == "report"]
    proposals = [event for event in moment.events if event["kind"] == "trial_started"]
    return {
        "trials": {number: _result(moment, number) for number in moment.trials},
        "decisions": [
            (event["trial"], *_pick(event["data"], "step", "metrics", "decision", "reason", "by"))
            for event in told
            if "repeated" not in event["data"]
        ],
        "proposals": [
            (event["trial"], *_pick(event["data"], "origin", "learned_from", "fidelity", "parent"))
            for event in proposals
            if event["data"]["origin"] in ("new", "cloned")
        ],
    }


def _result(moment: Moment, number: int) -> dict[str, Any]:
    rows = moment.details[number]
    attributes = {row["key"]: row["value_json"] for row in rows["trial_user_attributes"]}
    about = "attempt seconds checkpoint peak_memory peak_gpu_memory gpu_utilization"
    for key in about.split():  # who ran it, how fast, and on what
        attributes.pop(key, None)
    return {
        "state": moment.trials[number]["state"],
        "params": {row["param_name"]: row["param_value"] for row in rows["trial_params"]},
        "value": [row["value"] for row in rows["trial_values"]],
        "steps": {
            row["step"]: row["intermediate_value"] for row in rows["trial_intermediate_values"]
        },
        "attributes": attributes,
    }


def _pick(data: Mapping[str, Any], *keys: str) -> Iterable[Any]:
    return (data.get(key) for key in keys)


def assert_no_proposal_twice(moment: Moment) -> None:
    """P3: no two trials have the same parameters (of a space with real numbers in it)."""
    params = [
        tuple((row["param_name"], row["param_value"]) for row in moment.details[n]["trial_params"])
        for n in moment.trials
    ]
    assert len(set(params)) == len(params), params


# ---- processes, and work done twice ----


def repeated(journal: Path) -> int:
    """P8: how many epochs were trained more than once; an objective adds a line `trial epoch` for each."""
    lines = journal.read_text().splitlines()
    return len(lines) - len(set(lines))


def carrying(mark: str) -> list[psutil.Process]:
    """Every live process with this mark as `LAB` in its environment."""
    return [process for process in psutil.process_iter() if _carries(process, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("LAB") == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def assert_nothing_runs(mark: str) -> None:
    """P6: no process with this mark is left, after the time that a machine with other work may need."""
    deadline = time.monotonic() + 60
    while (left := carrying(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, [process.cmdline() for process in left]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
