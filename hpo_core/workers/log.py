"""A trial's `log.txt`: what its objective printed, and at the end its traceback, if it failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from hpo_core.concealed import concealed
from hpo_core.errors import disk_is_full
from hpo_core.trial import Ending, Outcome, Trial


def path_of(trial: Trial) -> Path:
    """Where an attempt's log lies."""
    return Path(trial.directory) / "log.txt"


def write_traceback(trial: Trial, outcome: Outcome) -> None:
    """End a trial's log with the traceback of its objective. Does nothing where there is none.

    Raises OSError when the log cannot be written.
    """
    if not outcome.traceback:
        return
    path_of(trial).parent.mkdir(parents=True, exist_ok=True)
    with path_of(trial).open("a", encoding="utf-8") as log:
        log.write(outcome.traceback)


def not_logged(trial: Trial, error: OSError) -> Outcome:
    """What becomes of an attempt whose log cannot be written: a full disk is no fault of the trial."""
    if disk_is_full(error):
        return Outcome(Ending.INTERRUPTED, f"no space left on the disk of {path_of(trial)}")
    return Outcome(Ending.FAILED, f"cannot write the trial's log: {error}")


@contextmanager
def captured(trial: Trial) -> Iterator[None]:
    """Everything that this process and its children write to descriptors 1 and 2 goes to the trial's log.

    By descriptor and not by `sys.stdout`, so that a C library's words and a crash's stack are there too; what Python
    writes is concealed. Raises OSError when the log cannot be opened, or not be written to the end; the descriptors are
    put back in any case.
    """
    path_of(trial).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path_of(trial), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    before = os.dup(1), os.dup(2)
    try:
        _point_output_at(log, log)
        with redirect_stdout(concealed(sys.stdout)), redirect_stderr(concealed(sys.stderr)):
            yield
    finally:
        try:
            _point_output_at(*before)
        finally:
            for descriptor in (log, *before):
                os.close(descriptor)


def _point_output_at(out: int, err: int) -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os.dup2(out, 1)
        os.dup2(err, 2)
