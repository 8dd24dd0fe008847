"""The process that measures a model (`hpo_core.evaluation`): `python -P -m hpo_core.evaluating`.

It reads one question, a line of JSON, and answers in one: the evaluation, or `{"reason": ...}` where there is none.
Whatever an objective prints goes to the error output, so that it cannot be taken for the answer.

The objective runs in a fork of this process, which itself only waits: until that has ended, however it does, or until
the input ends, because the driver has heard enough or is gone. Then it ends everything that the objective has started,
wherever that has hidden (`hpo_core.workers.descendants`), and itself as the fork did.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from hpo_core import references
from hpo_core.concealed import concealed
from hpo_core.evaluation import Evaluation
from hpo_core.plugins import load
from hpo_core.trial import json_safe
from hpo_core.workers.descendants import adopt_orphans, kill_children

LOOK_SECONDS = 0.05
"""How long the end of the objective's process may go unnoticed."""


def main() -> None:
    """Answer one question."""
    answer = os.dup(1)
    os.dup2(2, 1)
    question = json.loads(sys.stdin.buffer.readline())
    adopt_orphans()
    child = os.fork()
    if child == 0:
        _answer(question, answer)
    os.close(answer)  # its end then tells that nothing more is said
    status = _awaited(child)
    kill_children()
    _end_as(status)


def _awaited(child: int) -> int | None:
    """How the child has ended; None when the input did first."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if select.select([0], [], [], LOOK_SECONDS)[0]:  # nothing more is ever said
            return None


def _end_as(status: int | None) -> NoReturn:
    """End with the exit code, or by the signal, of a process that has ended."""
    code = 0 if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL is as it was
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _answer(question: Mapping[str, Any], answer: int) -> NoReturn:
    """Be the process that measures."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the driver says nothing to the objective
    sys.stdout, sys.stderr = concealed(sys.stdout), concealed(sys.stderr)
    line = json.dumps(json_safe(_answered(question)), allow_nan=False)
    sys.stdout.flush()
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(line.encode() + b"\n")
    os._exit(0)


def _answered(question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _evaluated(question).to_json()
    except Exception as error:  # an objective may raise anything
        said = " ".join(references.conceal(str(error)).split())
        print(traceback.format_exc(), file=sys.stderr, flush=True)
        return {"reason": f"{type(error).__name__}: {said}"[:500].rstrip(": ")}


def _evaluated(question: Mapping[str, Any]) -> Evaluation:
    catalog, _ = load()
    factory: Any = catalog.entry("objectives", question["objective"]).factory
    config = references.resolve(question["config"])
    found = factory.evaluate(
        Path(question["folder"]), config, question["seed"], question["code_path"]
    )
    if not isinstance(found, Evaluation):
        raise TypeError(f"evaluate returned a {type(found).__name__} and no hpo_core.Evaluation")
    return found


if __name__ == "__main__":
    main()
