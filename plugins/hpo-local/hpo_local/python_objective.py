"""The objective `python`: any Python function.

The function is found by `module:function` in the folders that the user allowed (`--allow-code`), because a study file
alone must never be able to run code.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hpo_core import HpoError, Run


def python(
    run: Run,
    *,
    call: Annotated[
        str,
        Field(pattern=r"^[\w.]+:[\w.]+$", description="the function, as 'module:function'"),
    ],
    arguments: Annotated[
        dict[str, Any], Field(description="keyword arguments that the function is called with")
    ] = {},  # noqa: B006  # never changed
    epochs: Annotated[
        int | None,
        Field(
            ge=1,
            description="the last epoch that it reports; handed on as `epochs` if it takes that",
        ),
    ] = None,
    evaluate: Annotated[
        str | None,
        Field(
            pattern=r"^[\w.]+:[\w.]+$",
            description="the function that measures a model on test data, as 'module:function'",
        ),
    ] = None,
) -> Any:
    """Call the function with the arguments, and with the `hpo_core.Run` if it has a parameter `run` (or `trial` first).

    Trial schedulers that pause trials want to know the last epoch, or they pause there too: say it in `epochs`.

    The function returns a number, metrics by name, or None after it has reported through the run. One that saves its
    state in `run.checkpoint(step)` and begins with `run.restored` can be paused, cloned, and continued after a crash;
    one that does not begins anew.

    The function `evaluate` measures the checkpoint that becomes a model version. It is called with those of `folder`,
    which holds its files, `seed` and the arguments that it takes, and returns a `hpo_core.Evaluation`.

    Raises HpoError when code is not allowed or the function cannot be found, and whatever the function raises.
    """
    folders = run.trial.code_path
    if folders is None:
        raise HpoError(f"calling {call} is not allowed: run the study with --allow-code")
    with _importing_from(folders):  # while it is called, too: functions import in their bodies
        function = find(call, folders)
        names = _parameters(function)
        offered: dict[str, Any] = (
            {"epochs": epochs} if epochs is not None and "epochs" in names else {}
        )
        if "run" in names or names[:1] == ["trial"]:
            offered["run" if "run" in names else "trial"] = run
        return function(**{**offered, **arguments})


def _evaluate(
    folder: Path, config: Mapping[str, Any], seed: int, code_path: list[str] | None
) -> Any:
    """See `hpo_core.contracts`: what the function `evaluate` says of a model."""
    call = config["evaluate"]
    if code_path is None:
        raise HpoError(f"calling {call} is not allowed: run the command with --allow-code")
    with _importing_from(code_path):
        function = find(call, code_path)
        known = {"folder": folder, "seed": seed, **config["arguments"]}
        names = _parameters(function)
        return function(**{name: value for name, value in known.items() if name in names})


_evaluate.needs = "evaluate"  # type: ignore[attr-defined]  # what must be set for it to be called
python.runs_code = True  # type: ignore[attr-defined]  # which must be allowed
python.evaluate = _evaluate  # type: ignore[attr-defined]  # what models are measured by


def find(call: str, folders: list[str]) -> Callable[..., Any]:
    """The function that `module:function` names. Raises HpoError when there is none.

    An error inside the module is the user's own and passes through.
    """
    module_name, _, attribute = call.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; one that it imports is not
        raise HpoError(f"there is no module '{module_name}' in {', '.join(folders)}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise HpoError(f"module '{module_name}' has no '{attribute}'")
        found = getattr(found, name)
    if not callable(found):
        raise HpoError(f"{call} is not a function: {found!r}")
    return found  # type: ignore[no-any-return]  # callable() is all that can be known here


def _parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters; none where Python does not know them."""
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        return []  # a builtin without a signature


@contextmanager
def _importing_from(folders: list[str]) -> Iterator[None]:
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            if folder in sys.path:  # the function may have changed the path itself
                sys.path.remove(folder)
