"""Where a trial comes from: everything that it takes to train it again, read from its study's events.

What is the same for all trials of a driver's run is stored once, with the first thing that the driver says; each
attempt names the driver that ran it. References (`${env:NAME}`) stand unresolved in all of it, and passwords that
somebody has written into an address are left out: a version's provenance goes wherever its files do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from hpo_core.space import Space
from hpo_core.storage import reading
from hpo_core.storage.database import display_all
from hpo_core.storage.studies import StudyRecord
from hpo_core.trial import Event

_ENDS = ("trial_paused", "trial_lost", "trial_interrupted", "trial_finished")
_KINDS = ("trial_started", "report", *_ENDS)


def origin_of(engine: Engine, record: StudyRecord, number: int) -> dict[str, Any]:
    """The provenance of a trial in JSON types; what an older hpo did not record is left out.

    ==================  ==========================================================================================
    `study_file`        as it was understood when the driver of the last attempt began; `success_criteria` of it
    `environment`       of that driver: commit, branch, sha256 of the diff, versions, platform, hardware
    `environments`      of other drivers that ran the trial, by the number of their first event, where they differ
    `threads`           that the trial computed with, where its executor says so
    `objective`         its name; `dataset` and `augmentation` are those of its options, where it has such. `dataset`
                        has also `dataset_root` and `dataset_version` where its files were of a registered version
    `seeds`             of the study and of the trial
    `attempts`          each with its driver, when it began and ended (seconds since the epoch), how, and its epochs
    `steps`             the epochs of the trial; `seconds` what they took, in all attempts
    `peak_memory`       the most bytes that an attempt held; `peak_gpu_memory` on GPUs
    `out_of_memory`     attempts that were lost for want of memory
    `parent`            what a clone began from, and `parent_step`
    ==================  ==========================================================================================
    """
    from hpo_core.sampling import derive_seed

    begun = reading.events(engine, record, kinds=["study_started"])
    ours = reading.events(engine, record, number, kinds=_KINDS)
    drivers = {event.seq: event.data for event in begun}
    attempts = list(_attempts(sorted([*begun, *ours], key=lambda event: event.seq)))
    seed = record.identity["seed"]
    found: dict[str, Any] = {
        **_surroundings(drivers, [attempt["driver"] for attempt in attempts]),
        **_components(engine, record, number, _learned_from(ours)),
        "seeds": {"study": seed, "trial": derive_seed(seed, number, "trial")},
        "attempts": attempts,
        **_training(ours),
    }
    return {key: display_all(value) for key, value in found.items() if value is not None}


def _surroundings(drivers: Mapping[int, Mapping[str, Any]], ran: list[int]) -> dict[str, Any]:
    if not ran:
        return {}
    last = drivers[ran[-1]]
    here = last.get("environment")
    others = {
        str(seq): drivers[seq]["environment"]
        for seq in sorted(set(ran))
        if drivers[seq].get("environment") not in (None, here)
    }
    file = last.get("study_file")
    criteria = None if file is None else file.get("success_criteria")
    return {
        "study_file": file,
        "success_criteria": criteria,
        "environment": here,
        "environments": others or None,
        "threads": last.get("threads"),
    }


def _learned_from(ours: list[Event]) -> dict[str, str]:
    """The registered version of its dataset's files, where the last attempt began with one."""
    begun = [event.data.get("data") for event in ours if event.kind == "trial_started"]
    return (begun and begun[-1]) or {}


def _components(
    engine: Engine, record: StudyRecord, number: int, learned_from: dict[str, str]
) -> dict[str, Any]:
    """The objective, and those of its options that say what was learned from."""
    row = reading.trial(engine, record, number)
    params = {} if row is None else row.params
    tree = {key: item for key, item in record.identity["objective"].items() if key != "name"}
    config = Space(tree).fill(lambda path, _: params[path])
    dataset = config.get("dataset")
    return {
        "objective": record.identity["objective"]["name"],
        "dataset": dataset | learned_from if isinstance(dataset, dict) else dataset,
        "augmentation": config.get("augmentation"),
    }


def _attempts(told: list[Event]) -> Iterator[dict[str, Any]]:
    """Each attempt at a trial, in order; `told` are its events and the beginnings of drivers."""
    driver, current = 0, None
    for event in told:
        data = event.data
        if event.kind == "study_started":
            driver = event.seq
        elif event.kind == "trial_started":
            current = {
                "attempt": data["attempt"],
                "origin": data.get("origin"),
                "driver": driver,
                "began": event.time,
                "epochs": 0,
            }
            yield current
        elif current is not None and event.kind == "report":
            current["epochs"] += 1
        elif current is not None and "ended" not in current:
            current |= {
                "ended": event.time,
                "ending": event.kind.removeprefix("trial_"),
                "reason": data.get("reason", ""),
            }


def _training(ours: list[Event]) -> dict[str, Any]:
    """What the trial took, in all of its attempts."""
    reports = [event.data for event in ours if event.kind == "report"]
    ends = [event.data for event in ours if event.kind in _ENDS]
    begun = next((event.data for event in ours if event.kind == "trial_started"), {})
    return {
        "steps": max((report["step"] for report in reports), default=0),
        "seconds": round(sum(report["seconds"] for report in reports), 3),
        "peak_memory": _most(ends, "peak_memory"),
        "peak_gpu_memory": _most(ends, "peak_gpu_memory"),
        "out_of_memory": sum(bool(end.get("out_of_memory")) for end in ends) or None,
        "parent": begun.get("parent"),
        "parent_step": begun.get("parent_step"),
    }


def _most(ends: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return max((end[name] for end in ends if end.get(name) is not None), default=None)
