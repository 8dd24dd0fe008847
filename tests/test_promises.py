"""The checks of the promises, where they could be wrong themselves."""

from __future__ import annotations

from typing import Any

from promises import look
from sqlalchemy import Engine, event

from hpo_core.storage import database, studies
from hpo_core.storage.ledger import Ledger


def test_a_look_sees_one_moment_whatever_is_committed_meanwhile(storage: str) -> None:
    engine = database.open_or_create(storage)
    identity = {"metric": {"name": "accuracy", "goal": "maximize"}}
    record = studies.create(engine, "s", "maximize", identity, 9, "runs")
    ledger = Ledger(engine, record.study_id, "s", "maximize", "accuracy")

    left = [ledger]

    def commit(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM trials" in statement and left:  # a driver is faster than who looks
            left.pop().study.ask()
            ledger.record("warning")
            ledger.commit()

    event.listen(Engine, "after_cursor_execute", commit)
    try:
        seen, after = look(storage, "s"), look(storage, "s")
    finally:
        event.remove(Engine, "after_cursor_execute", commit)
    assert seen is not None and (seen.trials, seen.events) == ({}, [])
    assert after is not None and (len(after.trials), len(after.events)) == (1, 1)
    engine.dispose()
