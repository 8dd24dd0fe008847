"""What a training says about itself: in the trial's `log.txt`, whoever runs the trial."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpo_core import conceal

LOG = logging.getLogger("hpo_vision")


class _Concealing(logging.Formatter):
    """A path of the dataset, say, may come from the environment."""

    def format(self, record: logging.LogRecord) -> str:
        return conceal(super().format(record))


@contextmanager
def logged(directory: str) -> Iterator[None]:
    """While this lasts, what this plugin logs, remarks included, is added to the trial's log, and not to a terminal.

    Raises OSError when the trial's folder cannot be made.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(Path(directory, "log.txt"), encoding="utf-8", delay=True)
    handler.setFormatter(_Concealing("%(levelname)s: %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(handler)
        handler.close()
