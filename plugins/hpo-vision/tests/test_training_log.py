"""The log of a training quotes nothing that the environment keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hpo_vision.training.log import LOG, logged

from hpo_core import references


def test_the_log_of_a_training_is_concealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_TEST_FOLDER", "/canary-77/pets")
    references.resolve("${env:HPO_TEST_FOLDER}")
    with logged(str(tmp_path)):
        LOG.warning("%s: no image", "/canary-77/pets/cat")
    assert (tmp_path / "log.txt").read_text() == "WARNING: ${env:HPO_TEST_FOLDER}/cat: no image\n"
