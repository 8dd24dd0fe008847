"""`hpo models`: what people see, the JSON that scripts rely on, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
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
    later = "files aliases stage tags test gates"
    assert keys(model) == {*OF_BEFORE.split(), *later.split()}
    assert keys(models("show", "digits-model", "--json").json) == {
        *keys(model),
        "provenance",
        "evaluation",
    }
    assert (model["aliases"], model["stage"], model["tags"]) == ([], None, {})
    assert (model["test"], model["gates"]) == (None, None)


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
    assert row[:4] == ["digits-model", "1", "production,", "champion"]
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
        "doubts": [],
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


TOLD = {
    "study_file": {"study": "bowl"},
    "environment": {
        "git_branch": "main",
        "git_diff_sha256": "d" * 64,
        "platform": "Linux",
        "hardware": {"cpu": "a", "cores": 2, "memory": 2**30, "gpus": []},
    },
    "dataset": {
        "name": "image-folder",
        "dataset_version": "pets@3",
        "test_sha256": "e" * 64,
        "images": {"train": {"a": 30, "b": 40}, "test": {"a": 180, "b": 180}},
    },
    "augmentation": {"name": "crop", "padding": 4},
    "seeds": {"study": 3, "trial": 17},
    "steps": 3,
    "seconds": 75.04,
    "peak_memory": 3 * 2**20,
    "attempts": [{"attempt": 1, "ending": "interrupted"}, {"attempt": 2, "ending": "finished"}],
    "success_criteria": {"accuracy": 0.9, "latency_seconds": 1},
}


@pytest.fixture
def judged(models: Models, studied: StudySpec) -> Models:
    """`models` with `measured@1`, which does not meet its criteria, and `measured@2`, which does."""
    registry = Registry.open(studied.storage)
    for trial, accuracy in ((0, 0.8), (1, 0.95)):
        evaluation = registered.evaluation(
            accuracy, accuracy > 0.9, accuracy - 0.1, accuracy + 0.04
        )
        evaluation["gates"].append({"name": "latency_seconds", "passed": True, "reason": "0.004"})
        evaluation["metrics"]["ece"] = 0.0345
        about = {"evaluation": evaluation, "provenance": TOLD, "git_commit": "c0ffee-dirty"}
        registered.register(registry.engine, Path("other"), "measured", trial=trial, **about)
    registry.engine.dispose()
    return models


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    for module in ("models", "models_reports", "tables"):
        monkeypatch.setattr(f"hpo_core.cli.{module}.terminal_width", lambda: width)


def test_a_list_says_what_one_promotes_by(judged: Models) -> None:
    head, *rows = judged("list").out.splitlines()
    assert head.split() == (
        "model version aliases value test gates study trial created metric".split()
    )
    shown = [row.split()[:8] for row in rows]
    assert shown == [
        ["digits-model", "1", "-", "1.0000", "-", "-", "bowl", "0"],
        ["measured", "1", "-", "0.9000", "0.8000", "failed", "search", "0"],
        ["measured", "2", "-", "0.9100", "0.9500", "passed", "search", "1"],
    ]
    test = {"part": "test", "name": "accuracy", "value": 0.8, "low": 0.7000000000000001}
    model = judged("list", "measured", "--json").json[0]
    assert (
        model["test"] == test | {"high": 0.8400000000000001, "n": 360}
        and model["gates"] == "failed"
    )


def test_a_measured_number_that_is_not_the_metrics_own_is_named(
    models: Models, studied: StudySpec
) -> None:
    registry = Registry.open(studied.storage)
    for trial, more in enumerate(({}, {"loss": 0.25})):
        evaluation = registered.evaluation(0.8, True, 0.7, 0.9)
        evaluation["metrics"] |= more
        about = {"evaluation": evaluation, "metric": "val_loss"}
        registered.register(registry.engine, Path("other"), "lossy", trial=trial, **about)
    registry.engine.dispose()
    tests = [row.split()[4] for row in models("list", "lossy").out.splitlines()[1:]]
    assert tests == ["accuracy=0.8000", "0.2500"]


def test_a_narrow_terminal_gets_the_columns_that_it_has_room_for(
    judged: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch, 72)
    shown = judged("list")
    assert max(map(len, shown.out.splitlines())) <= 72
    assert shown.out.splitlines()[0].split()[-1] == "trial"
    assert shown.err == "no room for created, metric: see --json\n"
    terminal(monkeypatch, 20)
    assert judged("list").out.splitlines()[0].split()[-1] == "gates"


def test_show_says_how_a_version_was_measured_and_made(judged: Models) -> None:
    lines = [" ".join(line.split()) for line in judged("show", "measured@1").out.splitlines()]
    assert lines[0] == "measured@1"
    for line in (
        "study search, trial 0",
        "validation accuracy 0.9000",
        "test accuracy 0.8000 (0.7000 to 0.8400) on 360 images",
        "gates failed: accuracy",
        "ece 0.0345",
        "accuracy failed: 0.8 (0.7000000000000001 to 0.8400000000000001 on 360 images), at least 0.9",
        "latency_seconds passed: 0.004",
        "dataset image-folder",
        "version pets@3",
        "images train 70, test 360",
        f"test sha256 {'e' * 64}",
        "augmentation crop, padding 4",
        "seeds study 3, trial 17",
        "epochs 3",
        "wall-clock 1:15 (75.0 s)",
        "peak memory 3.0 MiB",
        "attempts 2: interrupted, finished",
        "commit c0ffee",
        "branch main",
        "changed yes",
        f"diff sha256 {'d' * 64}",
        "processor a, 2 cores",
        "optimizer.lr 0.1",
        "optimizer sgd",
        "model.safetensors: 12 bytes",
    ):
        assert line in lines, line
    assert lines.index("searched") < lines.index("optimizer.lr 0.1") < lines.index("options")
    assert "gates passed: all 2" in " ".join(judged("show", "measured").out.split())


def test_show_says_what_it_does_not_know(models: Models) -> None:
    said = " ".join(models("show", "digits-model").out.split())
    assert "test could not be measured: " in said or "test not measured" in said
    assert "gates the study has no success_criteria" in said and "aliases - tags -" in said


def test_versions_are_shown_and_compared_at_80_columns(
    judged: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch, 80)
    commands = ("show measured", "lineage measured", "compare measured@1 measured@2")
    for words in map(str.split, commands):
        shown = judged(*words).out
        assert shown and max(map(len, shown.splitlines())) <= 80, shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["accuracy", "0.8000", "0.9500", "0.1500"] in lines
    both = "0.7000 to 0.8400 0.8500 to 0.9900 apart"
    assert ["accuracy,", "interval", *both.split()] in lines


def doubtful(**others: bool) -> dict[str, Any]:
    """An evaluation that meets `accuracy`, but not surely; `others` are gates and whether they were passed."""
    found = registered.evaluation(0.92, True, 0.85, 0.96) | {"reason": ""}
    (gate,) = found["gates"]
    surely = [gate | {"name": name, "passed": it, "sure": True} for name, it in others.items()]
    return found | {"gates": [gate | {"sure": False}, *surely]}


UNSURE = "meets success_criteria, but not surely: accuracy: 0.92 (0.85 to 0.96 on 360 images)"


def test_a_gate_that_was_passed_in_doubt_is_said(models: Models, studied: StudySpec) -> None:
    registry = Registry.open(studied.storage)
    unsure = doubtful(largest_share=True)
    registered.register(registry.engine, Path("other"), "digits-model", trial=2, evaluation=unsure)
    registry.engine.dispose()
    assert models("promote", "digits-model@2", "champion").err == ""  # which asks no gate
    done = models("promote", "digits-model@2", "staging")
    assert (done.code, done.out) == (0, "digits-model@2 is staging now\n")
    assert done.err.startswith(f"note: model digits-model@2 {UNSURE}") and done.err.count("\n") == 1
    assert models("promote", "digits-model@2", "staging").err == ""  # it was already
    done = models("promote", "digits-model@2", "production", "--json")
    assert [said.split(":")[0] for said in done.json["doubts"]] == ["accuracy"]
    assert UNSURE in done.err


def test_what_was_measured_is_said_once(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = doubtful(largest_share=False)
    with monkeypatch.context() as patch:
        patch.setattr(
            by_hand, "completed", lambda candidate, *_: replace(candidate, evaluation=judged)
        )
        made = models("register", "bowl", "--as", "mine", "--json")
    assert made.json["new"] is True and len(made.json["doubts"]) == 1
    assert [line.split(": ")[:2] for line in made.err.splitlines()] == [
        ["warning", "model mine@1 does not meet success_criteria"],
        ["note", "model mine@1 meets success_criteria, but not surely"],
    ]
    again = models("register", "bowl", "0", "--as", "mine", "--tag", "note=x")
    assert again.out.startswith("mine@1 already is trial 0 of study bowl, ")
    assert again.out.endswith("; it has the tags now: note\n") and again.err == ""
    again = models("register", "bowl", "--as", "mine", "--json")
    assert again.json["new"] is False and again.err == "" and len(again.json["doubts"]) == 1


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
    assert models("register", "bowl", "0", "--as", "mine").out.startswith(
        "mine@1 already is trial 0 "
    )
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
    assert ["validation", "digits-model@1", "mine@1", "difference"] in lines
    assert ["loss", "1.0000", "1.0000", "0.0000"] in lines
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
        ("list", "--study", "bwl"): "there is no study 'bwl' - did you mean 'bowl'?",
        ("list", "--study", "none"): "there is no study 'none' (there is: bowl)",
        ("list", "--alias", "prodution"): "did you mean 'production'?",
        ("list", "--alias", "x", "--json"): "there is no alias 'x' (there is: development, ",
    }.items():
        done = models(*words)
        assert done.code == 2 and said in done.err, (words, done)


def test_filters_that_nothing_fits_are_no_slip(models: Models, make_spec: MakeSpec) -> None:
    for words in (("--alias", "staging"), ("--alias", "archived"), ("--tag", "owner=me")):
        assert models("list", *words, "--json").json == []
    assert models("promote", "digits-model", "champion").code == 0
    for words in (("--alias", "champion"), ("--alias", "latest"), ("--study", "bowl")):
        assert len(models("list", *words, "--json").json) == 1
    assert models("list", "--alias", "champion", "--tag", "owner=me", "--json").json == []
    assert "did you mean 'champion'" in models("list", "--alias", "champoin").err


def test_a_database_without_models(hpo: Hpo, make_spec: MakeSpec) -> None:
    make_spec()
    assert hpo("models", "list", "--json").json == []
    assert "there is no model 'x' (there is: none)" in hpo("models", "show", "x").err
    assert hpo("models", "list", "--where", "a < 1").code == 2
    assert hpo("models", "verify", "--all").code == 0
