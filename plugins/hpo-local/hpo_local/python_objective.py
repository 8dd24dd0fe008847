"""The objective `python`: any Python function.

The function is found by `module:function` in the folders that the user allowed (`--allow-code`), because a study file
alone must never be able to run code.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
) -> Any:
    """Call the function with the arguments, and with the run first if its first parameter is called `run` or `trial`.

    The function returns a number, metrics by name, or None after it has reported through the run. Raises HpoError when
    code is not allowed or the function cannot be found, and whatever the function raises.
    """
    folders = run.trial.code_path
    if folders is None:
        raise HpoError(f"calling {call} is not allowed: run the study with --allow-code")
    with _importing_from(folders):  # while it is called, too: functions import in their bodies
        function = find(call, folders)
        return function(run, **arguments) if _takes_run(function) else function(**arguments)


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


def _takes_run(function: Callable[..., Any]) -> bool:
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except ValueError:
        return False  # a builtin without a signature
    return first is not None and first.name in ("run", "trial")


@contextmanager
def _importing_from(folders: list[str]) -> Iterator[None]:
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            if folder in sys.path:  # the function may have changed the path itself
                sys.path.remove(folder)
