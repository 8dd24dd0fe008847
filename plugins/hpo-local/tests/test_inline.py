"""The executor `inline` against the contract."""

from __future__ import annotations

import pytest
from hpo_local.inline import Inline

from hpo_core import Executor
from hpo_core.testing.execution import ExecutorContract


class TestInline(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return Inline()
