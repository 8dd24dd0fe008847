"""Many processes register files at once: versions without gaps, one for the same files, nothing half done."""

from __future__ import annotations

from pathlib import Path

import pytest
from registered import at_once
from test_datasets_files import fill

from hpo_core.datasets.datasets import Datasets


def test_numbers_have_no_gap_and_none_is_given_twice(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 processes on PostgreSQL, 12 on SQLite; every two of them have the same files."""
    monkeypatch.chdir(tmp_path)
    many = 30 if storage.startswith("postgresql") else 12
    for number in range(many):
        fill(tmp_path / f"data-{number}", a="same", b=str(number // 2))

    def act(number: int) -> None:
        Datasets.open(storage).create("pets", str(tmp_path / f"data-{number}"))

    assert at_once(many, act) == [0] * many
    datasets = Datasets.open(storage)
    found = datasets.versions("pets")
    assert [version.version for version in found] == list(range(1, many // 2 + 1))
    assert len({version.root for version in found}) == many // 2
    for version in found:
        assert datasets.verify(version.label).none
    (store,) = {path.parent for path in tmp_path.rglob("manifests")}
    assert len([*(store / "manifests").rglob("*.jsonl")]) == many // 2
    assert not [*store.rglob(".part*")]
    datasets.engine.dispose()


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
def test_a_store_that_many_copy_to(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = fill(tmp_path / "data", **{f"f{number}": str(number % 7) for number in range(40)})
    datasets = Datasets.open(storage)
    version = datasets.create("pets", str(data)).version
    datasets.engine.dispose()
    assert at_once(6, lambda _: Datasets.open(storage).snapshot("pets")) == [0] * 6
    assert len([*(tmp_path.rglob("objects/*/*"))]) == 7
    datasets.restore("pets", tmp_path / "to")
    assert Datasets.digest(str(tmp_path / "to")).root == version.root
    datasets.engine.dispose()
