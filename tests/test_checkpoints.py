"""Checkpoints: there whole or not at all, and found out when they are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import curve, frozen, open_study
from stored import stored

from hpo_core import Checkpoint, Ending, Outcome, Trial, checkpoints
from hpo_core.catalog import Catalog
from hpo_core.checkpoints import DamagedError, delete, saving, verify
from hpo_core.execution import execute
from hpo_core.spec import StudySpec
from hpo_core.study import DrivenStudy

SavingSpec = Callable[..., StudySpec]


def save(parent: Path, step: int = 3, text: str = "weights") -> Checkpoint:
    """A checkpoint of two files."""
    made: list[Checkpoint] = []
    with saving(parent, step, made.append) as folder:
        (folder / "state.json").write_text(text)
        (folder / "deeper").mkdir()
        (folder / "deeper" / "more.bin").write_bytes(b"\0" * 100)
    return made[0]


# ---- saved ----


def test_a_checkpoint_appears_whole(tmp_path: Path) -> None:
    parent = tmp_path / "not" / "there"
    seen: list[Checkpoint] = []
    with saving(parent, 7, seen.append) as folder:
        (folder / "state.json").write_text("x")
        assert not (parent / "step-000007").exists() and not seen
    (made,) = seen
    assert (made.step, made.path) == (7, str(parent / "step-000007"))
    assert [path.name for path in parent.iterdir()] == ["step-000007"]
    assert verify(made) == parent / "step-000007"
    manifest = json.loads((parent / "step-000007" / checkpoints.MANIFEST).read_text())
    assert list(manifest) == ["state.json"] and manifest["state.json"]["size"] == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_is_left_by_an_exception_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    seen: list[Checkpoint] = []
    with pytest.raises(error), saving(tmp_path, 1, seen.append) as folder:
        (folder / "state.json").write_text("half")
        raise error
    assert not seen and list(tmp_path.iterdir()) == []


def test_what_a_crash_left_half_written_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".step-000003.partial").mkdir()
    (tmp_path / ".step-000003.partial" / "old").write_text("half")
    made = save(tmp_path)
    assert {path.name for path in verify(made).iterdir()} == {
        "state.json",
        "deeper",
        "manifest.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["step-000003"]


def test_a_step_that_is_saved_again_replaces_the_first(tmp_path: Path) -> None:
    first, second = save(tmp_path, text="one"), save(tmp_path, text="two")
    assert first.path == second.path and first.sha256 != second.sha256
    assert (verify(second) / "state.json").read_text() == "two"
    with pytest.raises(DamagedError, match=r"manifest\.json was changed"):
        verify(first)


# ---- damaged ----


def flip(path: Path) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda folder: flip(folder / "state.json"), r"state\.json was changed"),
    "flipped deeper": (lambda folder: flip(folder / "deeper" / "more.bin"), r"more\.bin was chang"),
    "cut": (lambda folder: (folder / "state.json").write_text("w"), "has 1 bytes instead of 7"),
    "file gone": (lambda folder: (folder / "state.json").unlink(), "No such file"),
    "manifest flipped": (lambda folder: flip(folder / "manifest.json"), r"manifest\.json was chan"),
    "manifest gone": (lambda folder: (folder / "manifest.json").unlink(), "No such file"),
    "gone": (lambda folder: folder.rename(folder.with_name("elsewhere")), "No such file"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_found_out(tmp_path: Path, how: str) -> None:
    made = save(tmp_path)
    harm, said = DAMAGE[how]
    harm(Path(made.path))
    with pytest.raises(DamagedError, match=said) as caught:
        verify(made)
    assert made.path in str(caught.value)


def test_a_file_in_the_manifest_s_place_is_refused(tmp_path: Path) -> None:
    """It would be overwritten, and the checkpoint would be found damaged when it is needed."""
    with pytest.raises(ValueError, match=r"'manifest\.json' is written by hpo itself"):
        with saving(tmp_path, 1, lambda _: None) as folder:
            (folder / checkpoints.MANIFEST).write_text("{}")
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told_without_what_a_reference_stands_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = save(tmp_path)
    monkeypatch.setenv("PLACE", str(tmp_path))
    referring = replace(made, path=f"${{env:PLACE}}/{Path(made.path).name}")
    for harm in (flip, Path.unlink):
        harm(Path(made.path, "state.json"))
        with pytest.raises(DamagedError, match=r"^\$\{env:PLACE\}/step") as caught:
            verify(referring)
        assert str(tmp_path) not in str(caught.value)


# ---- deleted ----


def test_deleting_twice_is_no_error(tmp_path: Path) -> None:
    made, other = save(tmp_path, 1), save(tmp_path, 2)
    delete(made)
    delete(made)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002"]
    verify(other)


# ---- continued from ----


def interrupted(saving_spec: SavingSpec, catalog: Catalog) -> tuple[StudySpec, DrivenStudy, Trial]:
    """The second attempt at a trial of five epochs whose first one was lost after epoch 3."""
    spec = saving_spec("none", "{trials: 1}", **{"name: saving,": "name: saving, epochs: 5,"})
    study = open_study(spec, catalog)
    trial = study.ask()
    assert trial is not None

    def send(report: object) -> object:
        decision = study.report(trial, report)  # type: ignore[arg-type]
        if report.step == 3:  # type: ignore[attr-defined]
            raise SystemExit
        return decision

    with pytest.raises(SystemExit):
        execute(trial, catalog, send)  # type: ignore[arg-type]
    study.finish(trial, Outcome(Ending.LOST, "gone"))
    again = study.ask()
    assert again is not None and [each.step for each in again.checkpoints] == [3, 2]
    return spec, study, again


@pytest.mark.parametrize(("damaged", "steps"), [(0, [4, 5]), (1, [3, 4, 5]), (2, [1, 2, 3, 4, 5])])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    saving_spec: SavingSpec, catalog: Catalog, damaged: int, steps: list[int]
) -> None:
    spec, study, trial = interrupted(saving_spec, catalog)
    for checkpoint in trial.checkpoints[:damaged]:
        flip(Path(checkpoint.path, "state.json"))
    before = len(stored(spec))
    outcome = execute(trial, catalog, lambda report: study.report(trial, report))
    study.finish(trial, outcome)
    assert outcome == Outcome(Ending.COMPLETED)
    events = stored(spec)[before:]
    assert [event.data["step"] for event in events if event.kind == "report"] == steps
    warnings = [event for event in events if event.kind == "warning"]
    assert [(each.trial, each.data["attempt"]) for each in warnings] == [(0, 2)] * damaged
    for warning, step in zip(warnings, (3, 2), strict=False):
        said = warning.data["reason"]
        assert said.startswith(f"the checkpoint after epoch {step} is damaged")
        assert "sha256" in said
    (done,) = frozen(spec)
    assert list(done.intermediate_values.values()) == curve(**trial.params, epochs=5)
    assert study.epochs == 5
