"""Lets the tests of this folder import what they share (`recorded.py`), and be quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny_version import Registered

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> Iterator[None]:
    """A training ends with a collection of garbage: it need not look through all of torch each time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """A model version that was trained for seconds: `tiny@1`."""
    from tiny_version import registered

    return registered(tmp_path_factory.mktemp("registered"))
