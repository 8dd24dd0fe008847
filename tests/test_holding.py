"""One driver per study: who comes second is told who holds it, and the system frees it with the process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo_core.errors import StorageError, StudyHeldError
from hpo_core.holding import hold

HOLDER = """\
import sys
from pathlib import Path
from hpo_core.holding import hold
with hold(Path(sys.argv[1]), "digits"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the study in `tmp_path/digits` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "digits")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=20)


def test_the_second_driver_is_told_who_is_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(StudyHeldError) as caught, hold(tmp_path / "digits", "digits"):
        pytest.fail("it is held")
    said = str(caught.value)
    assert re.search(rf"'digits' is being run by process {holder.pid} since \d\d:\d\d:\d\d", said)
    assert caught.value.exit_code == 7
    with hold(tmp_path / "other", "other"):
        pass  # another study is free


def test_a_killed_holder_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(20)
    with hold(tmp_path / "digits", "digits"):
        assert (
            (tmp_path / "digits" / "driver.lock").read_text().startswith(f"process {os.getpid()} ")
        )


def test_a_study_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path, "digits"):
        _ = 1 / 0
    with hold(tmp_path, "digits"), pytest.raises(StudyHeldError), hold(tmp_path, "digits"):
        pytest.fail("it is held by this process")
    with hold(tmp_path, "digits"):
        text = (tmp_path / "driver.lock").read_text()
    assert text.count("process") == 1  # what an earlier holder wrote is gone


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write to .*file/digits: Not a directory"):
        with hold(tmp_path / "file" / "digits", "digits"):
            pytest.fail("there is no such folder")
