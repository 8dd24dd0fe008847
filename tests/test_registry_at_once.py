"""Many processes register and promote at once: versions without gaps, one holder of an alias, nothing half done."""

from __future__ import annotations

import json
from pathlib import Path

import registered
from registered import at_once, candidate, folders
from sqlalchemy import select

from hpo_core.registry import files, versions
from hpo_core.registry.registry import Registry
from hpo_core.storage import database, tables


def test_numbers_have_no_gap_and_none_is_given_twice(storage: str, tmp_path: Path) -> None:
    """50 processes on PostgreSQL, 20 on SQLite."""
    many = 50 if storage.startswith("postgresql") else 20
    engine = database.open_existing(storage)
    study = registered.study(engine)
    candidates = [candidate(tmp_path, study, trial) for trial in range(many)]
    engine.dispose()

    def act(number: int) -> None:
        own = database.open_existing(storage)
        versions.register(own, "digits", candidates[number], tmp_path / "models")

    assert at_once(many, act) == [0] * many
    registry = Registry.open(storage)
    found = registry.versions("digits")
    assert [version.version for version in found] == list(range(1, many + 1))
    assert {version.trial for version in found} == set(range(many))
    for version in found:
        assert Path(version.path).read_text() == f"weights of {version.trial}"
        assert version.folder.name == str(version.version)
        files.check(version.label, version.folder, version.files)
    assert sorted(folders(tmp_path / "models/digits"), key=int) == [
        str(number) for number in range(1, many + 1)
    ]
    assert [each.what["event"] for each in registry.log("digits")] == ["registered"] * many
    registry.engine.dispose()


def test_the_same_trial_becomes_one_version(storage: str, tmp_path: Path) -> None:
    one = candidate(tmp_path)
    at_once(
        8,
        lambda _: versions.register(
            database.open_existing(storage), "digits", one, tmp_path / "models"
        ),
    )
    registry = Registry.open(storage)
    assert [version.version for version in registry.versions("digits")] == [1]
    assert list(folders(tmp_path / "models/digits")) == ["1"]
    registry.engine.dispose()


def test_a_stage_has_one_version_whoever_promotes(storage: str, tmp_path: Path) -> None:
    engine = database.open_existing(storage)
    study = registered.study(engine)
    for trial in range(8):
        registered.register(engine, tmp_path, trial=trial, study_id=study)
        registered.register(engine, tmp_path, "other", trial=trial, study_id=study)
    engine.dispose()

    def act(number: int) -> None:
        model = ("digits", "other")[number % 2]
        Registry.open(storage).promote(f"{model}@{number // 2 + 1}", "production")

    assert at_once(16, act) == [0] * 16
    registry = Registry.open(storage)
    for model in ("digits", "other"):
        listed = registry.find(model)
        (production,) = [each for each in listed if each.stage == "production"]
        assert [each.stage for each in listed if each is not production] == ["archived"] * 7
        moves = [each for each in registry.log(model) if each.what["event"] == "promoted"]
        assert moves[-1].version == production.version.version
        assert moves[-1].what["previous"] == moves[-2].version
    with database.connect(registry.engine) as connection:
        table = tables.study_user_attributes
        query = select(table.c.value_json).where(table.c.key == "registry/production")
        (text,) = connection.execute(query).scalars()
    assert {part.split()[0] for part in json.loads(text).split(", ")} == {"digits", "other"}
    registry.engine.dispose()
