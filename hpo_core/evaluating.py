"""The process that measures a model (`hpo_core.evaluation`): `python -P -m hpo_core.evaluating`.

It reads one question, a line of JSON, and answers in one: the evaluation, or `{"reason": ...}` where there is none.
Whatever an objective prints goes to the error output, so that it cannot be taken for the answer. When the input ends,
so does this process with all that it started: its driver is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo_core import references
from hpo_core.evaluation import Evaluation
from hpo_core.plugins import load
from hpo_core.trial import json_safe
from hpo_core.workers.descendants import adopt_orphans, end_with_descendants


def main() -> None:
    """Answer one question."""
    answer = os.dup(1)
    os.dup2(2, 1)
    adopt_orphans()
    question = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_driver, daemon=True).start()
    line = json.dumps(json_safe(_answered(question)), allow_nan=False)
    sys.stdout.flush()
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(line.encode() + b"\n")


def _end_with_driver() -> None:
    os.read(0, 1)  # nothing more is ever said
    end_with_descendants()


def _answered(question: Mapping[str, Any]) -> dict[str, Any]:
    config = question["config"]
    try:
        return _evaluated(question).to_json()
    except Exception as error:  # an objective may raise anything
        said = references.conceal(" ".join(str(error).split()), config)
        print(references.conceal(traceback.format_exc(), config), file=sys.stderr, flush=True)
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
