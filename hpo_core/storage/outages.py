"""Which of a database's errors pass by themselves, and how long they are waited for.

A server that restarts, a connection that breaks, a file that another process has locked: none of these may end a study.
What was asked is asked again; whoever asks must find out for himself whether the last time came through after all,
because a connection may break between a commit and its confirmation.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)

from hpo_core.errors import OutageError

OUTAGE_SECONDS = 300.0
"""How long a study waits for its database before it gives up."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
"""Seconds between two tries: each wait is twice the one before."""

_PASSING = (
    *("08000", "08001", "08003", "08004", "08006", "08007"),  # the connection
    *("57P01", "57P02", "57P03", "57P05"),  # the server shuts down or starts up
    *("40001", "40P01", "55P03"),  # another transaction was in the way
    "53300",  # too many connections
)
"""PostgreSQL's codes of errors (its manual's appendix A) after which the same may be asked again."""

_DISK_FULL = "53100"


def passing(error: SQLAlchemyError) -> bool:
    """Whether the same may well succeed later."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, TimeoutError)  # no connection of the pool became free
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = _state(error)
    if (
        state is None
    ):  # not the server's but the driver's: there is no server, or no connection to it
        return isinstance(error, OperationalError | InterfaceError)
    return state in _PASSING


def full(error: SQLAlchemyError) -> bool:
    """Whether the database's disk has no room left."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) == sqlite3.SQLITE_FULL
    return _state(error) == _DISK_FULL


def outlast(
    act: Callable[[bool], None], tell: Callable[[str], None], seconds: float | None = None
) -> None:
    """Call `act` until the database lets it through; its argument says whether it was called before.

    Raises the last OutageError when `seconds` (None: OUTAGE_SECONDS) were not enough. `tell` gets a sentence when it
    begins to wait, and another when it is over.
    """
    seconds = OUTAGE_SECONDS if seconds is None else seconds
    began = time.monotonic()
    wait, again = FIRST_WAIT, False
    while True:
        try:
            act(again)
            break
        except OutageError as error:
            if time.monotonic() - began + wait > seconds:
                raise
            if not again:
                tell(f"{error}; trying again for {seconds:g} s")
            again = True
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
    if again:
        tell(f"the database answers again after {time.monotonic() - began:.1f} s")


def _sqlite_code(error: sqlite3.Error) -> int | None:
    """The primary code of an error; None for one of Python's own."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _state(error: DBAPIError) -> str | None:
    """The server's five letters; psycopg and psycopg2 call them differently."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
