"""`hpo stop`: ask the driver of a study, from another shell, to do what Ctrl-C does in its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from hpo_core.cli.arguments import DEFAULT_STORAGE, Storage
from hpo_core.cli.reading import Name
from hpo_core.errors import StudyHeldError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from hpo_core.storage.holder import Holder


def stop(
    study: Name,
    storage: Storage = DEFAULT_STORAGE,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for its running epochs to end.")
    ] = 600.0,
) -> None:
    """Have a running study finish its running epochs and stop. The command that started it continues it."""
    from hpo_core.storage import database, leases, studies

    engine = database.open_existing(storage)
    record = studies.called(engine, study)
    driver = leases.holder(engine, record.study_id)
    if driver is None:
        print(f"study '{study}' is not running", file=sys.stderr)
        return
    if not driver.here_too:
        there = shlex.join(["hpo", "stop", study])
        raise UsageError(
            f"study '{study}' is run by process {driver.pid} on {driver.host}: type `{there}` there"
        )
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(driver.pid, signal.SIGTERM)
    print(f"process {driver.pid} finishes its running epochs", file=sys.stderr)
    _await(engine, record.study_id, driver, study, wait)


def _await(engine: Engine, study_id: int, driver: Holder, study: str, wait: float) -> None:
    """Until the driver has given the study free. Raises StudyHeldError when that takes too long."""
    from hpo_core.storage import leases

    deadline = time.monotonic() + wait
    while leases.holder(engine, study_id) == driver:
        if time.monotonic() > deadline:
            raise StudyHeldError(
                f"study '{study}' has not stopped within {wait:g} s; it will after its running epochs"
            )
        time.sleep(0.1)
    print(f"study '{study}' has stopped", file=sys.stderr)
