"""The registry in Python: references, stages, tags, gates, comparison, lineage, cards, what a dashboard shows of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
import registered
from registered import evaluation
from sqlalchemy import insert, text

from hpo_core import Event, runner
from hpo_core.catalog import Catalog
from hpo_core.commands import ModelVersion
from hpo_core.commands import Registry as PublicRegistry
from hpo_core.errors import GateError, StoreError, UsageError
from hpo_core.registry import dashboard, versions
from hpo_core.registry.registry import Registry
from hpo_core.spec import StudySpec
from hpo_core.storage import database, studies, tables


@pytest.fixture
def registry(tmp_path: Path, empty_database: Path) -> Iterator[Registry]:
    """A registry with three versions of `digits`, of a study that is there."""
    shutil.copy(empty_database, tmp_path / "hpo.db")
    opened = Registry.open(f"sqlite:///{tmp_path}/hpo.db")
    registered.study(opened.engine)
    for trial in range(3):
        registered.register(opened.engine, tmp_path, trial=trial)
    yield opened
    opened.engine.dispose()


def stages(registry: Registry) -> list[str | None]:
    return [each.stage for each in registry.find("digits")]


def test_plugins_reach_it() -> None:
    assert PublicRegistry is Registry and ModelVersion is versions.ModelVersion


# ---- what a reference means ----


def test_references(registry: Registry) -> None:
    registry.promote("digits@2", "production")
    for reference, number in {
        "digits": 3,
        "digits@latest": 3,
        "digits@1": 1,
        "digits@v2": 2,
        "digits@production": 2,
    }.items():
        assert registry.get(reference).version == number
        assert registry.verified(reference).version == number
    registry.archive("digits@production")
    assert registry.get("digits@archived").version == 2


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("digts", "there is no model 'digts' - did you mean 'digits'?"),
        ("zebra@1", "there is no model 'zebra' \\(there is: digits\\)"),
        ("digits@4", "has no version 4: it has 1 to 3"),
        ("digits@0", "has no alias '0'"),
        ("digits@producton", "no alias 'producton' - did you mean 'production'"),
        ("digits@x y", "it has production, latest and 1 to 3"),
        ("digits@archived", "no alias 'archived'"),
        ("", "there is no model ''"),
        ("@production", "there is no model ''"),
    ],
)
def test_references_to_nothing(registry: Registry, reference: str, said: str) -> None:
    registry.promote("digits@1", "production")
    with pytest.raises(UsageError, match=said):
        registry.get(reference)


# ---- files ----


def test_all_files_of_the_model_and_no_others_are_kept(registry: Registry) -> None:
    version = registry.get("digits@1")
    assert set(version.files) == {"model.safetensors", "labels_mapping.json", "provenance.json"}
    assert {path.name for path in version.folder.iterdir()} == set(version.files)
    assert version.files["model.safetensors"]["sha256"] == version.sha256
    assert version.files["model.safetensors"]["size"] == len("weights of 0")
    assert json.loads((version.folder / "provenance.json").read_text()) == version.provenance
    assert version.provenance["study"] == "search" and version.git_commit == "c0ffee"


def test_provenance_and_evaluation_are_kept_as_they_were_given(
    registry: Registry, tmp_path: Path
) -> None:
    judged = evaluation(0.95, True, 0.93, 0.97)
    provenance = {"seed": 7, "cost": float("nan"), "dataset": {"name": "digits"}}
    made = registered.register(
        registry.engine, tmp_path, trial=5, provenance=provenance, evaluation=judged
    )
    version = registry.get(made.label)
    assert version == made and version.evaluation == judged
    assert version.provenance["cost"] is None  # JSON has no nan
    assert json.loads((version.folder / "evaluation.json").read_text()) == judged
    assert "evaluation.json" in version.files


@pytest.mark.parametrize("name", ["model.safetensors", "labels_mapping.json", "provenance.json"])
@pytest.mark.parametrize("harm", ["flipped", "longer", "gone"])
def test_a_damaged_file_is_named(registry: Registry, name: str, harm: str) -> None:
    path = registry.get("digits@2").folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content if harm == "flipped" else content + b"\0")
    why = {"flipped": "its sha256 is another", "longer": "bytes instead of", "gone": "No such file"}
    with pytest.raises(
        StoreError, match=f"digits@2 is not what was registered: .*/{name}.*{why[harm]}"
    ):
        registry.verified("digits@2")
    assert registry.get("digits@2").version == 2  # of which nothing is read
    assert registry.verified("digits@1").version == 1


def test_a_database_may_be_moved_with_its_models(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "models", tmp_path / "elsewhere/models")
    registry.engine.dispose()  # which puts what is beside the file of SQLite into it
    shutil.copy(tmp_path / "hpo.db", tmp_path / "elsewhere/hpo.db")
    moved = Registry.open(f"sqlite:///{tmp_path}/elsewhere/hpo.db")
    assert moved.verified("digits@1").folder == tmp_path / "elsewhere/models/digits/1"
    with pytest.raises(StoreError, match="No such file"):
        registry.verified("digits@1")
    moved.engine.dispose()


# ---- stages, aliases, tags ----


def test_a_stage_moves_and_the_version_before_is_archived(registry: Registry) -> None:
    first = registry.promote("digits@1", "staging")
    assert (first.previous, first.archived, first.left, first.changed) == (None, False, None, True)
    moved = registry.promote("digits@1", "production")
    assert moved.left == "staging" and stages(registry) == ["production", None, None]
    second = registry.promote("digits@2", "production")
    assert (second.previous, second.archived) == (1, True)
    assert stages(registry) == ["archived", "production", None]
    third = registry.promote("digits@3", "production", archive=False)
    assert (third.previous, third.archived) == (2, False)
    assert stages(registry) == ["archived", None, "production"]
    registry.promote("digits@1", "development")  # an archived version comes back
    assert stages(registry) == ["development", None, "production"]
    assert not registry.promote("digits@3", "production").changed
    registry.promote("digits@3", "archived")
    assert stages(registry) == ["development", None, "archived"]
    assert [each.what["event"] for each in registry.log("digits")] == [
        *["registered"] * 3,
        *["promoted"] * 2,
        *["archived", "promoted", "promoted", "promoted", "archived"],
    ]


def test_the_log_tells_both_halves_of_a_move(registry: Registry) -> None:
    for reference, alias in (
        ("digits@1", "staging"),
        ("digits@1", "production"),
        ("digits@1", "champion"),
        ("digits@1", "development"),  # and production is empty
        ("digits@2", "development"),
    ):
        registry.promote(reference, alias)
    told = [dict(each.what) for each in registry.log("digits")][3:]
    assert [(each["event"], each.get("alias"), each["left"]) for each in told] == [
        ("promoted", "staging", None),
        ("promoted", "production", "staging"),
        ("promoted", "champion", None),
        ("promoted", "development", "production"),
        ("archived", None, "development"),
        ("promoted", "development", None),
    ]


def test_other_aliases_are_free(registry: Registry) -> None:
    registry.promote("digits@1", "champion")
    registry.promote("digits@1", "production")
    done = registry.promote("digits@2", "champion")
    assert (done.previous, done.archived) == (1, False)
    assert stages(registry) == ["production", None, None]
    assert registry.get("digits@champion").version == 2
    assert registry.unalias("digits", "champion") == 2
    with pytest.raises(UsageError, match="no alias 'champion' \\(it has: production\\)"):
        registry.unalias("digits", "champion")
    with pytest.raises(UsageError, match="there is no model 'digit' - did you mean 'digits'"):
        registry.unalias("digit", "champion")


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        ("latest", "always the newest"),
        ("3", "is no alias"),
        ("v3", "is no alias"),
        ("a b", "is no alias"),
        ("", "is no alias"),
        ("../x", "is no alias"),
        ("prodution", "did you mean 'production'"),
        ("Production", "did you mean 'production'"),
        ("PRODUCTION", "did you mean 'production'"),
        ("productionn", "did you mean 'production'"),
        ("production.", "did you mean 'production'"),
        ("stagings", "did you mean 'staging'"),
        ("archive", "did you mean 'archived'"),
        ("Latest", "always the newest"),
        ("V3", "is no alias"),
        ("x" * 129, "at most 128"),
        ("a\nb", r"'a\\nb' is no alias"),
    ],
)
def test_what_is_no_alias(registry: Registry, alias: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        registry.promote("digits@1", alias)
    assert registry.promote("digits@1", "production-eu").changed


def test_tags(registry: Registry) -> None:
    registry.tag("digits@1", {"owner": "vision", "description": "A first try\nin two lines"})
    registry.tag("digits@2", {"owner": "vision"})
    registry.tag("digits@2", {"owner": "speech"})
    assert [each.version.version for each in registry.find(tags={"owner": "vision"})] == [1]
    registry.untag("digits@2", ["owner"])
    assert registry.listed("digits@2").tags == {}
    with pytest.raises(UsageError, match="no tag 'onwer' - did you mean 'owner'"):
        registry.untag("digits@1", ["onwer"])
    for key, value in {
        "archived": "1",
        "a=b": "1",
        "": "1",
        "x": "\ud800",
        "y": "a" * 10_001,
    }.items():
        with pytest.raises(UsageError):
            registry.tag("digits@1", {key: value})


def test_versions_are_found(registry: Registry, tmp_path: Path) -> None:
    registered.register(registry.engine, tmp_path, "letters", study="other")
    registry.promote("digits@2", "staging")

    def found(*words: Any, **wanted: Any) -> list[str]:
        return [each.version.label for each in registry.find(*words, **wanted)]

    assert found() == ["digits@1", "digits@2", "digits@3", "letters@1"]
    assert found("letters") == ["letters@1"]
    assert found(study="other") == ["letters@1"]
    assert found(alias="staging") == ["digits@2"]
    assert found(alias="latest") == ["digits@3", "letters@1"]
    assert found(where="accuracy > 0.905 and lr < 0.25") == ["digits@2"]
    assert found("digits", where="optimizer = 'sgd' and loss <= .49") == ["digits@2", "digits@3"]
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        found(where="acuracy > 1")
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        found("digit")


# ---- gates ----


def test_a_failed_gate_refuses_the_stages_that_ask(registry: Registry, tmp_path: Path) -> None:
    bad = evaluation(0.82, False, 0.78, 0.86)
    label = registered.register(registry.engine, tmp_path, trial=4, evaluation=bad).label
    for stage in ("staging", "production"):
        with pytest.raises(
            GateError, match=f"{label} may not become {stage}.*accuracy: 0.82"
        ) as error:
            registry.promote(label, stage)
        assert error.value.exit_code == 9
    assert registry.promote(label, "development").changed
    good = evaluation(0.95, True, 0.93, 0.97)
    passed = registered.register(registry.engine, tmp_path, trial=5, evaluation=good)
    assert registry.promote(passed.label, "production").changed
    with pytest.raises(GateError):
        registry.promote(label, "production")
    assert registry.get("digits@production") == registry.get(passed.label)


@pytest.mark.parametrize("judged", [None, {"metrics": {}, "gates": []}])
def test_a_criterion_that_nobody_judged_refuses_them_too(
    registry: Registry, tmp_path: Path, judged: dict[str, Any] | None
) -> None:
    provenance = {"success_criteria": {"accuracy": 0.9}}
    made = registered.register(
        registry.engine, tmp_path, trial=4, provenance=provenance, evaluation=judged
    )
    with pytest.raises(GateError, match="accuracy: it was not measured"):
        registry.promote(made.label, "production")


@pytest.mark.parametrize("name", ["model.safetensors", "labels_mapping.json", "provenance.json"])
def test_a_damaged_version_is_given_no_alias_but_archived(registry: Registry, name: str) -> None:
    registry.promote("digits@1", "production")
    path = registry.get("digits@2").folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for alias in ("development", "staging", "production", "champion"):
        with pytest.raises(StoreError, match=f"/{name} was changed"):
            registry.promote("digits@2", alias)
    assert registry.get("digits@production").version == 1 and stages(registry)[1] is None
    assert registry.promote("digits@2", "archived").changed
    shutil.rmtree(registry.get("digits@3").folder)  # as where it lies on another machine
    assert registry.promote("digits@3", "production").changed


# ---- reports ----


def test_versions_are_compared(registry: Registry, tmp_path: Path) -> None:
    for trial, accuracy in ((5, 0.80), (6, 0.95)):
        judged = evaluation(accuracy, True, accuracy - 0.02, accuracy + 0.02)
        registered.register(registry.engine, tmp_path, trial=trial, evaluation=judged)
    found = registry.compare("digits@4", "digits@5")
    pairs = {(pair.part, pair.name): pair for pair in found.metrics}
    assert pairs["test", "accuracy"].difference == pytest.approx(0.15)
    assert pairs["test", "accuracy"].apart is True
    assert pairs["test", "latency_seconds"].apart is None
    assert pairs["validation", "loss"].difference == pytest.approx(-0.01)
    assert list(found.options) == ["optimizer.lr"]
    assert found.classes == {"a": (1.0, 1.0), "b": (0.80, 0.95)}
    assert None not in found.sizes
    unlike = registry.compare("digits@1", "digits@5")
    assert {pair.name: pair.difference for pair in unlike.metrics}["latency_seconds"] is None
    assert unlike.classes == {"a": (None, 1.0), "b": (None, 0.95)}
    assert json.loads(json.dumps(found.to_json()))["metrics"][0]["apart"] is True


def test_the_lineage_goes_back_through_clones(registry: Registry, tmp_path: Path) -> None:
    parents = {2: (1, 4), 1: (0, 2)}
    with database.connect(registry.engine) as connection:
        for number in range(3):
            row = {"number": number, "study_id": 1, "state": "COMPLETE"}
            made = connection.execute(insert(tables.trials), row).inserted_primary_key
            assert made is not None
            for key, value in zip(("parent", "parent_step"), parents.get(number, ()), strict=False):
                attribute = {"trial_id": made[0], "key": key, "value_json": str(value)}
                connection.execute(insert(tables.trial_user_attributes), attribute)
    found = registry.lineage("digits@3")
    kinds = [node.kind for node in found.nodes]
    assert kinds.count("trial") == 3 and kinds[-1] == "version"
    assert ("trial:1/0", "trial:1/1", "cloned after epoch 2") in found.edges
    assert ("trial:1/1", "trial:1/2", "cloned after epoch 4") in found.edges
    assert ("trial:1/0", "version:digits@1", "registered as") in found.edges
    assert ("code:c0ffee", "study:1", "used by") in found.edges
    lines = list(found.lines())
    assert lines[0] == "model digits@3"
    assert lines[1:3] == ["  trial 2 (registered as)", "    study search (proposed)"]
    assert json.loads(json.dumps(found.to_json()))["nodes"][-1]["id"] == "version:digits@3"


def test_a_card_says_what_was_measured(registry: Registry, tmp_path: Path) -> None:
    judged = evaluation(0.82, False, 0.78, 0.86)
    label = registered.register(registry.engine, tmp_path, trial=5, evaluation=judged).label
    registry.tag(label, {"description": "Reads | digits"})
    registry.promote(label, "development")
    text = registry.card(label)
    for part in (
        f"# {label}\n\nReads | digits\n\nAliases: development\n",
        "Measured once, on 360 images of the part `test`.",
        "| test | accuracy | 0.82 | 0.7800 to 0.8600 |",
        "| b | 1.0000 | 0.8200 | 0.8000 |",
        "- **not met**: accuracy: 0.82",
        "| optimizer.lr (searched) |",
        f"`{registry.get(label).sha256}`",
    ):
        assert part in text
    assert "Nobody has measured it" in registry.card("digits@1")
    failed = {"part": "test", "n": 0, "metrics": {}, "classes": None, "gates": [], "reason": "why"}
    registered.register(registry.engine, tmp_path, trial=6, evaluation=failed)
    assert "It could not be measured: why." in registry.card("digits")


def test_passwords_in_addresses_are_nobodys_to_read(registry: Registry, tmp_path: Path) -> None:
    """Cards and lineages are shown around; what trains a version again is its configuration, which keeps them."""
    address = "https://me:pa55@host/digits?password=pa55"
    for trial, name in ((5, "a"), (6, "b")):
        config = {"dataset": {"name": name, "path": address}, "other": [f"{address}&{name}"]}
        registered.register(registry.engine, tmp_path, trial=trial, config=config)
    label = "digits@5"
    said = [registry.card(label), *registry.lineage(label).lines()]
    said.append(json.dumps(registry.lineage(label).to_json()))
    compared = registry.compare("digits@4", label)
    said.append(json.dumps(compared.to_json()))
    assert "https://me:***@host/digits" in said[0] and set(compared.options) == {
        "dataset",
        "other.0",
    }
    assert [text for text in said if "pa55" in text] == []
    assert registry.get(label).config["dataset"]["path"] == address


def test_what_users_write_stays_in_its_cell(registry: Registry, tmp_path: Path) -> None:
    registered.register(registry.engine, tmp_path, trial=5, metrics={"a|<img src=x>\n# b": 1.0})
    assert "| validation | a\\|&lt;img src=x> # b | 1 |  |" in registry.card("digits")


# ---- optuna-dashboard ----


def test_a_dashboard_shows_the_registry(registry: Registry) -> None:
    study = optuna.load_study(study_name="search", storage=registry.storage)
    optuna_dashboard.save_note(study, "# My own words\n")
    registry.promote("digits@2", "production")
    note = optuna_dashboard.get_note(study)
    assert note.startswith("# My own words\n")
    link = "[1](/dashboard/studies/1/trials?numbers=1)"
    sha256 = registry.get("digits@2").sha256[:12]
    assert f"| digits@2 | production | {link} | accuracy 0.91 | " in note
    assert f" | `{sha256}` |" in note
    assert study.user_attrs == {"registry/production": "v2 (trial 1)"}
    registry.promote("digits@3", "production")
    registry.tag("digits@3", {"owner": "me"})
    study = optuna.load_study(study_name="search", storage=registry.storage)
    assert study.user_attrs == {"registry/production": "v3 (trial 2)"}
    note = optuna_dashboard.get_note(study)
    assert note.count("## Model registry") == 1 and "| digits@2 | archived |" in note
    optuna_dashboard.save_note(study, "")
    registry.unalias("digits", "production")
    study = optuna.load_study(study_name="search", storage=registry.storage)
    assert study.user_attrs == {}
    assert optuna_dashboard.get_note(study).startswith("[//]: # (hpo: models)\n\n## Model registry")


def test_a_dashboard_shows_the_test_and_the_gates(registry: Registry, tmp_path: Path) -> None:
    for trial, told in enumerate(((0.85, False, 0.8, 0.89), (0.95, True, 0.92, 0.97)), 5):
        evaluation = registered.evaluation(*told)
        registered.register(registry.engine, tmp_path, trial=trial, evaluation=evaluation)
    unknown = {"part": "test", "n": 0, "metrics": {}, "reason": "why"}
    registered.register(registry.engine, tmp_path, trial=7, evaluation=unknown)
    study = optuna.load_study(study_name="search", storage=registry.storage)
    rows = [line.split(" | ") for line in optuna_dashboard.get_note(study).splitlines()]
    said = {row[0]: (row[4], row[5].strip()) for row in rows if len(row) == 7}
    assert said["| digits@4"] == ("accuracy 0.8500 (0.8000 to 0.8900, n 360)", "failed: accuracy")
    assert said["| digits@5"] == ("accuracy 0.9500 (0.9200 to 0.9700, n 360)", "passed")
    assert said["| digits@6"] == ("not measured", "")


def test_a_long_note_is_cut_as_the_dashboard_cuts_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "SHOWN", 3)
    study = optuna.load_study(study_name="search", storage=registry.storage)
    optuna_dashboard.save_note(study, "My words. " * 1000)  # five pieces
    for trial in range(3, 5):
        registered.register(registry.engine, tmp_path, trial=trial)
    study = optuna.load_study(study_name="search", storage=registry.storage)
    note = optuna_dashboard.get_note(study)
    assert note.startswith("My words. " * 999) and note.count("\n| digits@") == 3
    assert "and 2 older ones" in note
    optuna_dashboard.save_note(study, "short")
    registry.promote("digits@1", "production")
    study = optuna.load_study(study_name="search", storage=registry.storage)
    assert optuna_dashboard.get_note(study).startswith("short\n\n[//]: # (hpo: models)")


def test_versions_outlive_a_study_that_is_deleted(registry: Registry, tmp_path: Path) -> None:
    optuna.delete_study(study_name="search", storage=registry.storage)
    assert registry.promote("digits@1", "production").changed
    assert registry.verified("digits@production").version == 1
    assert next(registry.lineage("digits@1").lines()) == "model digits@1"
    registered.study(registry.engine, "next")  # which may get the id of the deleted one
    assert len(registry.versions("digits")) == 3
    with database.connect(registry.engine) as connection:
        left = connection.execute(text("SELECT count(*) FROM hpo_model_aliases")).scalar_one()
    assert left == 1 and studies.find(registry.engine, "next") is not None


def test_promotions_while_a_driver_runs(
    make_spec: Callable[..., StudySpec], catalog: Catalog, tmp_path: Path
) -> None:
    spec = make_spec(trials=4)
    engine = database.open_or_create(spec.storage)
    registry = Registry(engine, spec.storage)

    def promote(event: Event) -> None:
        if event.kind == "trial_finished":
            found = studies.find(engine, spec.study)
            assert found is not None and event.trial is not None
            made = registered.register(engine, tmp_path, trial=event.trial, study_id=found.study_id)
            registry.promote(made.label, "production")

    assert runner.run(spec, catalog, [promote]) is None
    study = optuna.load_study(study_name=spec.study, storage=spec.storage)
    assert study.user_attrs["registry/production"] == "v4 (trial 3)"
    assert study.user_attrs["sampler"] == "random"  # what the driver says of the study
    note = optuna_dashboard.get_note(study)
    assert note.count("| archived |") == 3 and note.count("| production |") == 1
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    engine.dispose()


# ---- databases of before ----


def test_versions_of_an_older_hpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    storage = f"sqlite:///{tmp_path}/old.db"
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
        database.open_or_create(storage).dispose()
    folder = tmp_path / "models/digits/1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    sha256 = versions.digest(folder / "model.safetensors")
    row = ("digits", 1, sha256, f"{folder}/model.safetensors", "s", 1, 0, "a", 0.5)
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute(
            "INSERT INTO hpo_model_versions VALUES (?,?,?,?,?,?,?,?,?,'{}','{}','{}',NULL,'{}',1.0)",
            row,
        )
    engine = database.open_existing(storage)
    before = versions.version_of(engine, 1, 0)  # `hpo best` reads it as it is
    engine.dispose()
    registry = Registry.open(storage)
    assert registry.verified("digits@1") == before
    assert before is not None and before.files == {
        "model.safetensors": {"sha256": sha256, "size": None}
    }
    assert registry.promote("digits@1", "production").changed
    assert "| model.safetensors |  |" in registry.card("digits@1")
    (folder / "model.safetensors").write_text("weighty")
    with pytest.raises(StoreError, match=r"model\.safetensors was changed"):
        registry.verified("digits")
    registry.engine.dispose()
