"""Lets the tests of this folder import what they share (`recorded.py`), and be quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> Iterator[None]:
    """A training ends with a collection of garbage: it need not look through all of torch each time."""
    gc.freeze()
    yield
    gc.unfreeze()
