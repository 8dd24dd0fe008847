"""Makes commands start sooner, without trials noticing.

Pydantic looks through every installed distribution for plugins of its own, which takes as long as checking a study
file. The commands need none; a trial's code may, so the search is allowed again before anything is run.
"""

from __future__ import annotations

import os

_SWITCH = "PYDANTIC_DISABLE_PLUGINS"
_before = os.environ.get(_SWITCH)


def skip_pydantic_plugins() -> None:
    """Called by the command line before anything is checked."""
    os.environ.setdefault(_SWITCH, "__all__")


def allow_pydantic_plugins() -> None:
    """Called before a study runs: workers and objectives get the environment that the user gave."""
    if _before is None:
        os.environ.pop(_SWITCH, None)
