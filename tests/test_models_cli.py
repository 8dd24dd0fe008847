"""`hpo models`: what people see, the JSON that scripts rely on, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import registered
from test_reading import Hpo, MakeSpec
from test_reading import hpo as hpo
from test_reading import studied as studied

from hpo_core import runner
from hpo_core.catalog import Catalog
from hpo_core.registry import by_hand
from hpo_core.registry.registry import Registry
from hpo_core.runner import Wishes
from hpo_core.spec import StudySpec

Models = Callable[..., Any]


@pytest.fixture
def models(
    hpo: Hpo, studied: StudySpec, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> Models:
    """`hpo models WORDS` where `digits-model@1` is trial 0 of study `bowl`, whose objective is a toy."""
    monkeypatch.setattr(by_hand, "load", lambda: (catalog, []))
    return lambda *words: hpo("models", *words)


def keys(document: dict[str, Any]) -> set[str]:
    return set(document)


OF_BEFORE = (
    "name version sha256 path study study_id trial metric value metrics params config git_commit "
    "versions created"
)


def test_the_json_of_a_list_keeps_its_keys(models: Models) -> None:
    (model,) = models("list", "--json").json
    assert keys(model) == {*OF_BEFORE.split(), "files", "aliases", "stage", "tags"}
    assert keys(models("show", "digits-model", "--json").json) == {
        *keys(model),
        "provenance",
        "evaluation",
    }
    assert (model["aliases"], model["stage"], model["tags"]) == ([], None, {})


def test_a_version_is_promoted_archived_and_tagged(models: Models) -> None:
    done = models("promote", "digits-model@1", "staging")
    assert (done.code, done.out) == (0, "digits-model@1 is staging now\n")
    done = models("promote", "digits-model@staging", "production")
    assert done.out == "digits-model@1 is production now, and no longer staging\n"
    assert models("promote", "digits-model", "production").out == (
        "digits-model@1 is production already\n"
    )
    assert models("tag", "digits-model", "owner=vision", "note=a=b").code == 0
    assert models("promote", "digits-model", "champion").code == 0
    (model,) = models("list", "--json", "--alias", "production", "--tag", "note=a=b").json
    assert model["aliases"] == ["champion", "production"] and model["stage"] == "production"
    assert model["tags"] == {"owner": "vision", "note": "a=b"}
    row = models("list").out.splitlines()[1].split()
    assert row[:4] == ["digits-model", "1", "production", "champion"]
    assert models("list", "--json", "--tag", "owner=me").json == []
    assert models("list", "--json", "--where", "loss < 2").json != []
    assert models("untag", "digits-model", "owner").code == 0
    assert models("unalias", "digits-model@champion").out == (
        "digits-model@1 is no longer champion\n"
    )
    assert models("archive", "digits-model").out == (
        "digits-model@1 is archived now, and no longer production\n"
    )
    events = [each["what"]["event"] for each in models("log", "digits-model", "--json").json]
    assert events[0] == "registered" and events[-1] == "archived" and len(events) == 9
    assert "archived" in models("log", "digits-model").out.splitlines()[-1]


def test_the_version_before_is_told(models: Models, studied: StudySpec) -> None:
    registry = Registry.open(studied.storage)
    registered.register(registry.engine, Path("other"), "digits-model", trial=2)
    registry.engine.dispose()
    models("promote", "digits-model@1", "production")
    done = models("promote", "digits-model@2", "production")
    assert done.out.splitlines() == [
        "digits-model@2 is production now",
        "digits-model@1, which was production before, is archived",
    ]
    back = models("promote", "digits-model@1", "production", "--no-archive", "--json").json
    assert back == {
        "model": "digits-model@1",
        "alias": "production",
        "changed": True,
        "previous": "digits-model@2",
        "previous_archived": False,
        "left": None,
    }


def test_a_failed_gate_has_an_exit_code_of_its_own(models: Models, studied: StudySpec) -> None:
    registry = Registry.open(studied.storage)
    bad = registered.evaluation(0.8, False, 0.7, 0.9)
    registered.register(registry.engine, Path("other"), "digits-model", trial=2, evaluation=bad)
    registry.engine.dispose()
    refused = models("promote", "digits-model@2", "production")
    assert refused.code == 9 and refused.out == ""
    assert refused.err.startswith("error: model digits-model@2 may not become production: ")
    assert refused.err.count("\n") == 1 and "0.8 (0.7 to 0.9 on 360 images)" in refused.err


def test_a_damaged_file_is_named_and_nothing_else_suffers(models: Models) -> None:
    (model,) = models("list", "--json").json
    folder = Path(model["path"]).parent
    assert models("verify", "--all").out == "digits-model@1: 2 files are as they were registered\n"
    assert models("path", "digits-model").out == f"{folder}\n"
    (folder / "model.safetensors").write_text("1")  # it was 0
    for words in (("verify", "digits-model"), ("path", "digits-model")):
        done = models(*words)
        assert done.code == 5 and f"{folder}/model.safetensors" in done.err
    (folder / "provenance.json").unlink()
    done = models("verify", "--all", "--json")
    assert done.code == 5 and done.err.count("error: ") == 2
    (told,) = json.loads(done.out)
    assert told["model"] == "digits-model@1" and len(told["damage"]) == 2
    assert models("show", "digits-model").code == 0 and models("card", "digits-model").code == 0
    assert models("verify").code == 2 and models("verify", "digits-model", "--all").code == 2


def test_any_finished_trial_with_a_checkpoint_is_registered(models: Models) -> None:
    done = models("register", "bowl", "--as", "mine", "--tag", "by=hand", "--json").json
    assert (done["name"], done["version"], done["trial"]) == ("mine", 1, 0)
    assert done["tags"] == {"by": "hand"}
    (before,) = models("list", "digits-model", "--json").json
    for key in ("sha256", "metric", "value", "metrics", "params", "config", "study_id"):
        assert done[key] == before[key], key
    assert models("register", "bowl", "0", "--as", "mine").out.startswith("mine@1: trial 0 ")
    for words, said in {
        ("bwl", "0"): "did you mean 'bowl'?",
        ("bowl", "9"): "has no trial 9",
        ("bowl", "1"): "is fail: only one that has ended well",
        ("bowl", "2"): "has kept no checkpoint",
    }.items():
        refused = models("register", *words, "--as", "mine")
        assert refused.code == 2 and said in refused.err
    for name in ("../mine", "a/b", ".mine", "", "m" * 129, "mi\nne", "m@1"):
        refused = models("register", "bowl", f"--as={name}")
        assert refused.code == 2 and refused.err.count("\n") == 1, (name, refused)
    refused = models("register", "bowl", "--as", "untagged", "--tag", "archived=1")
    assert refused.code == 2 and "archived" in refused.err
    assert models("list", "untagged").code == 2  # nothing was registered that was not tagged
    assert len(models("list", "mine", "--json").json) == 1


def test_a_study_that_was_set_aside_is_registered_from(
    models: Models, studied: StudySpec, catalog: Catalog
) -> None:
    assert runner.run(studied, catalog, [], Wishes(fresh=True)) is None
    done = models("register", "bowl.1", "--as", "old", "--json").json
    assert (done["study"], done["trial"]) == ("bowl.1", 0)
    assert models("verify", "--all").code == 0


def test_reports(models: Models, tmp_path: Path) -> None:
    assert models("register", "bowl", "--as", "mine").code == 0
    shown = models("compare", "digits-model", "mine")
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0][:4] == ["part", "metric", "digits-model@1", "mine@1"]
    assert ["validation", "loss", "1.0000", "1.0000", "0.0000"] in lines
    assert models("compare", "digits-model", "mine", "--json").json["options"] == {}
    tree = models("lineage", "mine").out.splitlines()
    assert tree[:2] == ["model mine@1", "  trial 0 (registered as)"]
    graph = models("lineage", "mine", "--json").json
    assert {node["kind"] for node in graph["nodes"]} >= {"study", "trial", "version"}
    card = models("card", "mine")
    assert card.out.startswith("# mine@1\n") and "## Files" in card.out
    assert models("card", "mine", "-o", "card.md").out == ""
    assert (tmp_path / "card.md").read_text() == card.out
    assert "| seed |" in card.out and "| training | 3 epochs in " in card.out
    (tmp_path / "words.md").write_text("For *digits* only.\n")
    attached = models("card", "mine", "--attach", "words.md")
    assert attached.out.startswith("# mine@1\n\nFor *digits* only.\n\n")
    assert models("card", "mine").out == attached.out
    assert models("card", "mine", "--attach", "none.md").code == 2
    (tmp_path / "folder").mkdir()
    refused = models("card", "mine", "-o", "folder")
    assert refused.code == 5 and not list(tmp_path.glob(".*.part"))
    for place in ("no/card.md", "card.md/card.md"):
        assert models("card", "mine", "-o", place).code == 5


def test_words_that_mean_nothing(models: Models) -> None:
    for words, said in {
        ("show", "digit-model"): "did you mean 'digits-model'?",
        ("show", "digits-model@2"): "has no version 2",
        ("promote", "digits-model", "prodution"): "did you mean 'production'?",
        ("tag", "digits-model", "owner"): "write KEY=VALUE",
        ("list", "--tag", "owner"): "write KEY=VALUE",
        ("unalias", "digits-model"): "write NAME@ALIAS",
        ("log", "none"): "there is no model 'none'",
        ("list", "--where", "lss < 1"): "did you mean 'loss'",
    }.items():
        done = models(*words)
        assert done.code == 2 and said in done.err, (words, done)


def test_a_database_without_models(hpo: Hpo, make_spec: MakeSpec) -> None:
    make_spec()
    assert hpo("models", "list", "--json").json == []
    assert "there is no model 'x' (there is: none)" in hpo("models", "show", "x").err
    assert hpo("models", "list", "--where", "a < 1").code == 2
    assert hpo("models", "verify", "--all").code == 0
