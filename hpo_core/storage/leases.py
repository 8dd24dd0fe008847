"""One driver per study, wherever it runs: a row in the database that says who, and until when.

Time is the database's own, so that the clocks of machines do not matter. A lease is renewed while its driver lives, and
may be taken over when it has expired, or at once when its holder ran on this machine and has ended. A driver that was
only slow (a laptop asleep, a network away) may believe that it still holds what another has taken: hence every commit
asks within its own transaction (`Lease.guard`) whether owner and token are still its own, and is refused if they are
not. The token grows with every driver of a study.

Each transaction here begins with a write: SQLite then locks the file before anything is read, and PostgreSQL the row.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Row,
    literal_column,
    select,
    text,
    update,
)

from hpo_core import faults
from hpo_core.errors import LeaseLostError, StorageError, StudyHeldError
from hpo_core.storage.database import connect, upsert
from hpo_core.storage.holder import Holder
from hpo_core.storage.tables import hpo_leases as table

TTL = 30.0
"""Seconds without a sign of life after which a study may be taken over."""

_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())::double precision",
}


_STILL_MINE = """\
UPDATE hpo_leases
SET expires_at = CASE WHEN expires_at - {now} < :rest THEN {now} + :ttl ELSE expires_at END
WHERE study_id = :study AND owner = :owner AND token = :token
"""


def take(engine: Engine, study_id: int, study: str, ttl: float = TTL) -> Lease:
    """Become the driver of a study. Raises StudyHeldError while another one is, and StorageError."""
    lease = Lease(engine, study_id, study, ttl)
    with connect(engine) as connection:
        connection.execute(_claim(connection), {"study_id": study_id, **_FREE})
        found = _row(connection, study_id)
        now = _now(connection)
        if found.expires_at > now and not _holder(found).gone:
            raise StudyHeldError(_held(study, found, now))
        lease.token = found.token + 1
        values = {"owner": lease.owner, "token": lease.token, "since": now, "expires_at": now + ttl}
        holder = json.dumps(asdict(Holder.here()))
        connection.execute(update(table).where(_of(study_id)).values(holder=holder, **values))
        faults.point("lease.take")
    return lease


def holder(engine: Engine, study_id: int) -> Holder | None:
    """Who drives a study now, or None. Raises StorageError."""
    with connect(engine) as connection:
        found = connection.execute(select(table).where(_of(study_id))).first()
        if found is None or found.expires_at <= _now(connection) or _holder(found).gone:
            return None
        return _holder(found)


class Lease:
    """The right to write a study. Made by `take`; `guard` goes to the study's ledger."""

    def __init__(self, engine: Engine, study_id: int, study: str, ttl: float) -> None:
        self.owner = str(uuid.uuid4())
        self.token = 0
        self.lost = False
        self._engine = engine
        self._study_id = study_id
        self._study = study
        self._ttl = ttl
        # made once, for it is a part of every commit
        self._still_mine = text(_STILL_MINE.format(now=_CLOCKS[engine.dialect.name]))

    def guard(self, connection: Connection) -> None:
        """Make sure, for the rest of the transaction, that nobody has taken over; raises LeaseLostError if so.

        It is a sign of life as well: when a third of the lease is over it is renewed.
        """
        mine = {"study": self._study_id, "owner": self.owner, "token": self.token}
        span = {"ttl": self._ttl, "rest": self._ttl * 2 / 3}
        if connection.execute(self._still_mine, mine | span).rowcount != 1:
            self.lost = True
            raise LeaseLostError(self._lost_to(connection))

    @contextlib.contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew the lease, in a thread, for the length of the context; outages of the database do not end that."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._renew_until, args=(over,), name="hpo-lease", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(self._ttl)

    def release(self) -> None:
        """Give the study free; without a word if the database is away, for the lease then expires."""
        with contextlib.suppress(StorageError), connect(self._engine) as connection:
            connection.execute(update(table).where(self._mine).values(**_FREE_AGAIN))

    @property
    def _mine(self) -> ColumnElement[bool]:
        return _of(self._study_id) & (table.c.owner == self.owner) & (table.c.token == self.token)

    def _renew_until(self, over: threading.Event) -> None:
        wait = self._ttl / 3
        while not over.wait(wait) and not self.lost:
            try:
                with connect(self._engine) as connection:
                    self.guard(connection)
                wait = self._ttl / 3
            except LeaseLostError:
                return  # the driver is told by its next commit
            except StorageError:
                wait = self._ttl / 30  # whoever comes first after an outage has the study

    def _lost_to(self, connection: Connection) -> str:
        found = connection.execute(select(table).where(_of(self._study_id))).first()
        if found is None or not found.owner:
            return (
                f"study '{self._study}' was taken from this process while it was away: run it again"
            )
        return f"{_by(self._study, found)}, which took it over while this process was away"


_FREE = {"owner": "", "token": 0, "holder": "{}", "since": 0.0, "expires_at": 0.0}
_FREE_AGAIN = {"owner": "", "holder": "{}", "expires_at": 0.0}


def _claim(connection: Connection) -> Any:
    """See to it that the study has a row, and that nobody else can change it before this transaction ends (SQLite)."""
    insert = upsert(connection)
    return insert(table).on_conflict_do_nothing()


def _row(connection: Connection, study_id: int) -> Row[Any]:
    return connection.execute(select(table).where(_of(study_id)).with_for_update()).one()


def _of(study_id: int) -> ColumnElement[bool]:
    return table.c.study_id == study_id


def _clock(connection: Connection) -> ColumnElement[float]:
    return literal_column(_CLOCKS[connection.dialect.name], Float)


def _now(connection: Connection) -> float:
    return connection.execute(select(_clock(connection))).scalar_one()


def _holder(row: Row[Any]) -> Holder:
    return Holder(**json.loads(row.holder))


def _held(study: str, row: Row[Any], now: float) -> str:
    who = f"{_by(study, row)}: wait for it, or stop it first"
    if _holder(row).machine == Holder.here().machine:
        return who
    return f"{who}; if that process has died, the study is free in {row.expires_at - now:.0f} s"


def _by(study: str, row: Row[Any]) -> str:
    """Who has a study, and since when."""
    holder = _holder(row)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.since))
    return f"study '{study}' is being run by process {holder.pid} on {holder.host} since {since}"
