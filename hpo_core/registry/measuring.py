"""A model is measured on the test part: in a process of its own, whatever that may print, raise or hang on.

The process (`hpo_core.evaluating`) is given one question and answers in one line of JSON. What the objective prints is
kept in a log. It is out of a terminal's reach, ends with the driver however that ends, and is ended with all that it
has started when it has answered, when it takes too long, or when somebody wants to stop.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from hpo_core.evaluation import Evaluation, Question, StoppedError

LOOK_SECONDS = 0.1
"""How long a wish to stop may go unnoticed."""

ENDING_SECONDS = 30.0
"""How long the process may take to end what it has started: a moment, but for a machine with too much other work."""


def measure(
    question: Question, timeout: float, log: Path, stopped: Callable[[], bool] = lambda: False
) -> Evaluation:
    """Measure a model, within `timeout` seconds. What it prints goes to the file `log`.

    Whatever goes wrong is the `reason` of an evaluation that has measured nothing. Raises StoppedError when `stopped`
    begins to say so, and OSError when the log cannot be written or no process be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, _process(output) as process:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has died, which its silence will tell
            process.stdin.write(json.dumps(question.to_json()).encode() + b"\n")
            process.stdin.flush()
        line = _line(process.stdout, time.monotonic() + timeout, stopped)
        if line is None:
            return Evaluation(reason=f"it took longer than {timeout:g} s (see {log})")
        if not line.endswith(b"\n"):
            return Evaluation(reason=f"its process {_ended(process)} (see {log})")
    answer = json.loads(line)
    if "reason" in answer and answer.keys() == {"reason"}:
        return Evaluation(reason=f"{answer['reason']} (see {log})")
    return Evaluation.from_json(answer)


@contextlib.contextmanager
def _process(output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a question: out of a terminal's reach, and gone with all that it started afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hpo_core.evaluating"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # both were asked for
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process whose input has ended: it ends what it has started, or is killed with its group."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _line(pipe: IO[bytes], deadline: float, stopped: Callable[[], bool]) -> bytes | None:
    """What a process says, up to the end of a line or its own; None when it is too late."""
    said = b""
    while time.monotonic() < deadline:
        if stopped():
            raise StoppedError
        if not select.select([pipe], [], [], LOOK_SECONDS)[0]:
            continue
        piece = os.read(pipe.fileno(), 1 << 16)
        said += piece
        if not piece or said.endswith(b"\n"):
            return said
    return None


def _ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return "closed its output"
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
