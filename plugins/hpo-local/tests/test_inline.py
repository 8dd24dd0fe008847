"""The executor `inline` against the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from hpo_local.inline import Inline

from hpo_core import Ending, Executor
from hpo_core.testing.execution import ExecutorContract, ScriptedStudy, Switch, make_trials


class TestInline(ExecutorContract):
    workers = 1
    isolated = False

    @pytest.fixture
    def executor(self) -> Executor:
        return Inline()

    def test_a_full_disk_interrupts_a_trial(self, tmp_path: Path) -> None:
        study = ScriptedStudy(make_trials(tmp_path, 1, "contract-raises"))
        log = Path(study.trials[0].directory, "log.txt")
        log.parent.mkdir()
        log.symlink_to("/dev/full")
        Inline().run(study, Switch())
        assert study.endings == [Ending.INTERRUPTED]
        assert study.outcomes[0].reason == f"no space left on the disk of {log}"
