"""Runs of `hpo` that start in milliseconds: forked from a process that has imported everything and opened nothing.

A test that starts a command a hundred times would spend a second on each import of Optuna. The process that forks is a
program of its own (this file, as `__main__`), because the tests' process has threads and connections that must not be
inherited. It reads one request a line and answers with the exit code, as `subprocess` has it (-9: killed).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120
"""The most that one command may take."""

WARM = {
    "objectives": ["python"],
    "samplers": ["tpe"],
    "trial_schedulers": ["asha-promotion", "pbt"],
    "executors": ["inline"],
}
"""What runs find imported."""

hits: Counter[str] = Counter()
"""How often this process has got to each point of fault."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ran:
    """A command that has ended. `hits` tells how often it got to each point of fault; nothing when it was killed."""

    code: int
    out: str
    err: str
    hits: dict[str, int]


class Forks:
    """The tests' end: asks for runs, one at a time."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hpo(self, *words: str, folder: Path, **environment: str) -> Ran:
        """Run `hpo WORDS` in a folder."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        request = {"words": words, "folder": str(folder), "environment": environment}
        print(json.dumps(request), file=self._parent.stdin, flush=True)
        code = int(self._parent.stdout.readline())
        out, err, hits = ((folder / name).read_text() for name in ("stdout", "stderr", "hits"))
        return Ran(code, out, err, json.loads(hits or "{}"))

    def close(self) -> None:
        """End the process that forks; it ends what it has forked."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(2 * SECONDS)
        self._parent.stdout.close()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Runs for one module of tests."""
    made = Forks()
    yield made
    made.close()


def _serve() -> None:
    """Answer requests until there are none."""
    _die_with_parent()
    _warm_up()
    gc.collect()
    gc.freeze()  # what a fork never touches it need not copy
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_run(request))
        print(_wait(child), flush=True)


def _warm_up() -> None:
    """Import what a run imports, and leave out what costs time and matters to none of these tests.

    The installed plugins and versions are looked up once. Nothing is synced: a kill takes no power from the disk. Every
    report is committed, so that it does not depend on time where a fault hits.
    """
    _count_hits()
    from hpo_core import plugins, study
    from hpo_core.cli import main, ndjson, reading, running  # noqa: F401
    from hpo_core.registry import provenance
    from hpo_core.storage import ledger  # noqa: F401

    study.COMMIT_SECONDS = -1.0
    os.fsync = lambda _: None
    loaded, versions = plugins.load(), provenance.versions()
    plugins.load = lambda *_: loaded
    provenance.versions = lambda: versions
    provenance.git_commit = lambda _: None
    provenance.code = lambda _: {"git_branch": None, "git_diff_sha256": None}
    for name in ("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "safetensors.numpy"):
        import_module(name)
    for kind, names in WARM.items():
        for name in names:
            _ = loaded[0].entry(kind, name).factory


def _count_hits() -> None:
    """Have each process count how often it gets to which point; called before anything imports `point`."""
    from hpo_core import faults

    point = faults.point

    def counting(name: str) -> None:
        hits[name] += 1
        point(name)

    faults.point = counting


def _run(request: dict[str, Any]) -> int:
    """Be the command; called in the child, which ends with what this returns."""
    from hpo_core.cli import main

    _die_with_parent()
    os.setsid()
    os.chdir(request["folder"])
    os.environ |= request["environment"]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    Path("hits").write_text("")
    sys.argv = ["hpo", *request["words"]]
    try:
        main.main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        Path("hits").write_text(json.dumps(hits))
    return 99


def _wait(child: int) -> int:
    """The exit code of a child, which gets no more than SECONDS."""
    deadline = time.monotonic() + SECONDS
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            print(f"still running after {SECONDS} s: killed", file=sys.stderr)
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
