"""Models are measured in a process of their own, whatever that does; what is known of them goes with the version."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from forking import Forks
from forking import forks as forks
from hpo_local.python_objective import python
from promises import assert_nothing_runs, carrying
from stored import MakeSpec, Offer, RunStudy, kinds, models, stored

from hpo_core import Event, runner
from hpo_core.catalog import Catalog
from hpo_core.errors import GateError, StoreError, StudyFileError, UsageError
from hpo_core.evaluation import Question, StoppedError
from hpo_core.registry.measuring import measure
from hpo_core.registry.registry import Registry
from hpo_core.reproduction.training import reproduce
from hpo_core.runner import Wishes
from hpo_core.spec import StudySpec

CANARY = "canary-4f1c2"

LONG = 120.0
"""Seconds in which the slowest machine has measured; whatever hangs does for longer."""

TOY = '''
"""A training whose weights are a few numbers, and what measures it: in one of several ways."""

import json, os, random, signal, subprocess, sys, time
from pathlib import Path

import psutil

from hpo_core import ClassReport, Evaluation


def train(run, x, mode="fine", secret="", epochs=4):
    source = random.Random(run.trial.seed)
    for epoch in range(1, epochs + 1):
        weights = [x, epoch, source.random(), os.environ.get("TOY_NOISE", "")]
        with run.checkpoint(epoch) as folder:
            (folder / "model.safetensors").write_text(json.dumps(weights))
        if run.report(epoch, {"loss": (x - 1) ** 2 + abs(epoch - 2), "other": 0.5}).stop:
            return


def measure(folder, seed, mode="fine", secret=""):
    print("this is no answer", flush=True)
    os.system("echo nor is this")
    if mode == "raise":
        print("connecting with", secret)
        raise ValueError(f"cannot connect with {secret}")
    if mode == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode.startswith("daemon"):
        if os.fork() == 0:  # out of the group, and without a parent
            os.setsid()
            if os.fork() == 0:
                subprocess.Popen(["sleep", "600"])
                Path("hidden").touch()
                time.sleep(600)
            os._exit(0)
        os.wait()
        while not Path("hidden").exists():
            time.sleep(0.01)
        if "die" in mode:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in mode:
            time.sleep(600)
    if mode == "ask":
        input()
    if mode in ("percent", "classless"):
        shares = (0.5, float("nan") if mode == "classless" else 0.5)
        classes = ClassReport(("cat", "dog"), shares, shares, shares, ())
        return Evaluation(100, {"accuracy": 92 if mode == "percent" else 0.9}, classes)
    if mode == "hang":
        time.sleep(600)
    if mode == "nothing":
        return {"accuracy": 1.0}
    if mode == "kill the driver" and not Path("killed").exists():
        Path("killed").touch()
        os.kill(psutil.Process().parent().ppid(), signal.SIGKILL)  # between them is who ends this one
        time.sleep(600)
    noise = 1 if json.loads((folder / "model.safetensors").read_text())[3] else 0
    shares = (0.5, 0.5)
    confusion = ((0, 0, 45 - noise), (0, 1, 5 + noise), (1, 0, 3), (1, 1, 47))
    classes = ClassReport(("cat", "dog"), shares, (0.9, 0.94), shares, confusion)
    metrics = {"accuracy": (92 - noise) / 100, "latency_seconds": random.random()}
    return Evaluation(100, metrics, classes, {"sha256": "of the data"})
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's code, which is where everything happens."""
    (tmp_path / "toy_training.py").write_text(TOY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("E2_CANARY", CANARY)
    return tmp_path


def question(toy: Path, mode: str, code: bool = True) -> Question:
    (toy / "model.safetensors").write_text("[1, 1, 1, null]")
    arguments = {"mode": mode, "secret": "${env:E2_CANARY}"}
    config = {"call": "toy_training:train", "evaluate": "toy_training:measure"}
    path = [str(toy)] if code else None
    return Question(toy, "python", config | {"arguments": arguments}, 7, path)


# ---- the process ----


def test_the_answer_is_told_from_what_is_printed(toy: Path) -> None:
    found = measure(question(toy, "fine"), LONG, toy / "log")
    assert (found.n, found.metrics["accuracy"], found.reason) == (100, 0.92, "")
    assert found.classes is not None and found.classes.classes == ("cat", "dog")
    assert (toy / "log").read_text() == "this is no answer\nnor is this\n"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("raise", "ValueError: cannot connect with ${env:E2_CANARY} (see"),
        ("die", "its process was killed by SIGKILL (see"),
        ("nothing", "TypeError: evaluate returned a dict and no hpo_core.Evaluation"),
        ("ask", "EOFError"),
        ("percent", "ValueError: an evaluation has the accuracy 92, which is not from 0 to 1 (see"),
        (
            "classless",
            "ValueError: an evaluation has the precision nan of class 'dog', which is not",
        ),
    ],
)
def test_whatever_goes_wrong_is_a_reason(toy: Path, mode: str, reason: str) -> None:
    found = measure(question(toy, mode), LONG, toy / "log")
    assert (found.n, found.metrics) == (0, {}) and found.reason.startswith(reason)
    log = (toy / "log").read_text()
    assert CANARY not in log
    assert ("Traceback" in log) is (mode != "die")


@pytest.mark.parametrize("mode", ["daemon", "daemon, and die", "daemon, and hang"])
def test_nothing_is_left_of_what_hides(
    toy: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("LAB", mark := f"hiding-{os.getpid()}")

    def after_it_hid() -> bool:
        deadline = time.monotonic() + LONG
        while "hang" in mode and not (toy / "hidden").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return False

    limit = 1 if "hang" in mode else LONG
    found = measure(question(toy, mode), limit, toy / "log", after_it_hid)
    said = {"daemon": "", "daemon, and die": "its process was killed by SIGKILL"}
    assert found.reason.startswith(said.get(mode, "it took longer than 1 s"))
    assert carrying(mark) == []


def test_code_runs_only_where_it_was_allowed(toy: Path) -> None:
    found = measure(question(toy, "fine", code=False), LONG, toy / "log")
    assert "is not allowed: run the command with --allow-code" in found.reason
    assert "no answer" not in (toy / "log").read_text()


def test_nothing_is_waited_for_too_long(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB", mark := f"measuring-{os.getpid()}")
    asked = question(toy, "hang")

    def hung() -> bool:
        return "nor is this" in (toy / "log").read_text()

    with pytest.raises(StoppedError):
        measure(asked, LONG, toy / "log", hung)
    assert measure(asked, 0.3, toy / "log").reason.startswith("it took longer than 0.3 s")
    assert_nothing_runs(mark)


# ---- a study ----


@pytest.fixture
def toy_spec(make_spec: MakeSpec, offer: Offer, toy: Path) -> Callable[..., StudySpec]:
    """A study whose best model is measured."""
    offer("objectives", "python", python)

    def make(
        mode: str = "fine", criteria: str = "{accuracy: 0.9, largest_share: 0.6}"
    ) -> StudySpec:
        objective = (
            "name: python, call: 'toy_training:train', evaluate: 'toy_training:measure', epochs: 4, "
            f"arguments: {{x: {{float: [-10, 10]}}, mode: {mode}, secret: '${{env:E2_CANARY}}'}}"
        )
        return make_spec(
            trials=2,
            **{
                "name: bowl, x: {float: [-10, 10]}, y: {float: [-3, 3]}": objective,
                "seed: 3": f"seed: 3\nregister: {{best_as: toy}}\nsuccess_criteria: {criteria}",
            },
        )

    return make


def test_a_version_says_how_it_does_and_where_it_comes_from(
    toy_spec: Callable[..., StudySpec], run: RunStudy, toy: Path
) -> None:
    spec = toy_spec()
    told = run(spec, allow_code=True)
    assert told[-1].data["measured"]["accuracy"] == 0.92
    assert told[-1].data["intervals"]["accuracy"] == pytest.approx([0.8500, 0.9589], abs=1e-4)
    assert [(gate["passed"], gate["sure"]) for gate in told[-1].data["gates"]] == [
        (True, False),
        (True, False),
    ]
    (version,) = models(spec)
    assert version.evaluation == json.loads((version.folder / "evaluation.json").read_text())
    assert version.evaluation["intervals"]["accuracy"] == pytest.approx([0.8500, 0.9589], abs=1e-4)
    assert [(gate["name"], gate["passed"]) for gate in version.evaluation["gates"]] == [
        ("accuracy", True),
        ("largest_share", True),
    ]
    origin = version.provenance
    assert origin["success_criteria"] == {"accuracy": 0.9, "largest_share": 0.6}
    assert origin["study_file"]["seed"] == origin["seeds"]["study"] == 3
    assert origin["step"] == 2 and origin["steps"] == 4  # the second epoch was the best
    assert [(a["attempt"], a["ending"], a["epochs"]) for a in origin["attempts"]] == [
        (1, "finished", 4)
    ]
    environment = origin["environment"]
    assert {"git_commit", "git_branch", "git_diff_sha256", "platform"} <= environment.keys()
    assert environment["hardware"]["memory"] > 0 and environment["hardware"]["cpu"]
    assert environment["versions"] == version.versions
    beside = json.loads(Path(spec.directory, spec.study, "environment.json").read_text())
    assert {**beside, "command": None} == {**environment, "command": None}
    assert Registry.open(spec.storage).promote("toy", "production").changed
    every = [path for path in toy.rglob("*") if path.is_file()]
    assert any(b"E2_CANARY" in path.read_bytes() for path in every)
    assert [path for path in every if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in json.dumps([event.to_json() for event in told])


def test_what_cannot_be_measured_is_registered_with_the_reason(
    toy_spec: Callable[..., StudySpec], run: RunStudy, toy: Path
) -> None:
    spec = toy_spec("raise")
    told = run(spec, allow_code=True)
    assert told[-1].kind == "model_registered" and "measured" not in told[-1].data
    assert [gate["passed"] for gate in told[-1].data["gates"]] == [False, False]
    (warning,) = [event.data["reason"] for event in told if event.kind == "warning"]
    assert "toy@1 could not be measured on the test part: ValueError: cannot connect" in warning
    (version,) = models(spec)
    assert version.evaluation is not None and version.evaluation["n"] == 0
    with pytest.raises(GateError, match="accuracy: it was not measured: ValueError"):
        Registry.open(spec.storage).promote("toy", "production")
    files = [path for path in toy.rglob("*") if path.is_file() and path.suffix != ".py"]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_a_criterion_that_is_not_met_keeps_a_version_out_of_production(
    toy_spec: Callable[..., StudySpec], run: RunStudy
) -> None:
    spec = toy_spec(criteria="{accuracy: 0.95, per_class_recall: 0.9}")
    told = run(spec, allow_code=True)
    said = [event.data["reason"] for event in told if event.kind == "warning"]
    assert len(said) == 1 and "does not meet success_criteria: accuracy: 0.9200" in said[0]
    registry = Registry.open(spec.storage)
    with pytest.raises(GateError, match=r"accuracy: 0\.9200, which is less than 0\.95"):
        registry.promote("toy", "production")
    assert registry.promote("toy", "candidate").changed


def test_a_signal_while_it_is_measured_leaves_the_rest_to_the_next_run(
    toy_spec: Callable[..., StudySpec], run: RunStudy, catalog: Catalog
) -> None:
    spec = toy_spec()
    told: list[Event] = []

    def interrupt(event: Event) -> None:
        told.append(event)
        if event.kind == "study_finished":
            signal.raise_signal(signal.SIGINT)

    assert runner.run(spec, catalog, [interrupt], Wishes(allow_code=True)) is signal.SIGINT
    assert told[-1].kind == "study_stopped" and "before its model was" in told[-1].data["reason"]
    assert models(spec) == []
    assert kinds(run(spec, allow_code=True))[-2:] == ["study_finished", "model_registered"]
    assert len(models(spec)) == 1
    trials = [event for event in stored(spec) if event.kind == "trial_started"]
    assert len(trials) == 2  # nothing was trained again


def test_a_kill_of_the_driver_while_it_measures(forks: Forks, toy: Path) -> None:
    mark = f"measured-{os.getpid()}"
    (toy / "study.yaml").write_text(
        "study: toy\nmetric: {name: loss, goal: minimize}\nbudget: {trials: 1}\n"
        "objective: {name: python, call: 'toy_training:train', evaluate: 'toy_training:measure', "
        "arguments: {x: {float: [0, 1]}, mode: kill the driver}}\n"
        "sampler: tpe\nexecutor: inline\nregister: {best_as: toy}\n"
    )
    words = ("run", "study.yaml", "--allow-code", "--json")
    assert forks.hpo(*words, folder=toy, LAB=mark).code == -9
    assert_nothing_runs(mark)
    again = forks.hpo(*words, folder=toy, LAB=mark)
    assert again.code == 0, again.err
    events = [json.loads(line) for line in again.out.splitlines()]
    assert events[-1]["event"] == "model_registered" and events[-1]["version"] == 1
    assert events[-1]["measured"]["n"] == 100


def test_criteria_that_nobody_could_judge_are_refused(
    make_spec: MakeSpec, toy_spec: Callable[..., StudySpec]
) -> None:
    with pytest.raises(StudyFileError, match="only a model that is registered is measured"):
        make_spec(**{"seed: 3": "seed: 3\nsuccess_criteria: {accuracy: 0.9}"})
    both = "seed: 3\nregister: {best_as: m}\nsuccess_criteria: {accuracy: 0.9}"
    with pytest.raises(StudyFileError, match="'bowl', as it is set here, does not measure"):
        make_spec(**{"seed: 3": both})
    with pytest.raises(StudyFileError, match=r"success_criteria\.accuracy"):
        toy_spec(criteria="{accuracy: 90}")


def test_a_model_that_is_registered_by_hand_is_measured_too(
    toy_spec: Callable[..., StudySpec], run: RunStudy, toy: Path
) -> None:
    spec = toy_spec()
    run(spec, allow_code=True)
    registry = Registry.open(spec.storage)
    with_code = registry.register(spec.study, name="again", code_path=[str(toy)]).version
    (version,) = registry.versions("toy")
    assert with_code.evaluation is not None and version.evaluation is not None
    assert with_code.evaluation["gates"] == version.evaluation["gates"]
    assert with_code.provenance == version.provenance
    without = registry.register(spec.study, name="without").version
    assert without.evaluation is not None and "--allow-code" in without.evaluation["reason"]
    log = toy / "runs/bowl/evaluation.log"
    log.write_text("of the last measuring")
    again = registry.register(spec.study, name="again")
    assert again.version == with_code and not again.new  # measured once
    assert log.read_text() == "of the last measuring"


# ---- training it again ----


def test_the_command_says_what_came_out(
    toy_spec: Callable[..., StudySpec], run: RunStudy, forks: Forks, toy: Path
) -> None:
    spec = toy_spec()
    run(spec, allow_code=True)
    words = ("reproduce", "toy@1", "--allow-code", "--storage", spec.storage)
    secret = {"E2_CANARY": CANARY}
    done = forks.hpo(*words, folder=toy, **secret)
    assert done.code == 0, done.err
    assert "toy@1 reproduced: the weights are the same, to the last bit" in done.out
    assert "epoch 4/4  loss" in done.err
    other = forks.hpo(*words, "--exact", "--json", folder=toy, TOY_NOISE="1", **secret)
    said = json.loads(other.out)
    assert other.code == 1 and said["reproduced"] is False and said["weights"]["same"] is False
    assert said["tested"]["accuracy"] == {"recorded": 0.92, "again": 0.91, "same": False}
    refused = forks.hpo("reproduce", "toy@1", "--storage", spec.storage, folder=toy, **secret)
    assert refused.code == 2 and "toy@1 names code to be run" in refused.err


def test_a_version_comes_out_again(
    toy_spec: Callable[..., StudySpec],
    run: RunStudy,
    toy: Path,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    executor = catalog.entry("executors", "processes").factory
    monkeypatch.setattr(executor, "threads", 3, raising=False)  # as those with processes have it
    spec = toy_spec()
    run(spec, allow_code=True)
    (version,) = models(spec)
    assert version.provenance["threads"] == 3
    steps: list[int] = []
    done = reproduce(version, [str(toy)], told=lambda report: steps.append(report.step))
    assert done.accepted and done.same_weights and done.metric.same
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "3"
    assert steps == [1, 2, 3, 4]
    assert {each.name: each.same for each in done.tested if each.name != "latency_seconds"} == {
        "accuracy": True,
        "largest_share": True,
    }
    assert Path(done.directory).parent == toy / "runs/reproduce/toy-1"
    kept = [path.name for path in Path(done.directory, "checkpoints").iterdir()]
    assert kept == ["step-000002"]
    monkeypatch.setenv("TOY_NOISE", "1")  # another machine, say
    other = reproduce(version, [str(toy)])
    assert other.directory != done.directory
    assert other.accepted and not other.same_weights and "is within the recorded" in other.reason
    assert not reproduce(version, [str(toy)], exact=True).accepted
    assert len(models(spec)) == 1


def test_a_trial_that_was_stopped_is_trained_as_long_again(
    toy_spec: Callable[..., StudySpec], run: RunStudy, toy: Path
) -> None:
    spec = toy_spec()
    run(spec, allow_code=True)
    (version,) = models(spec)
    origin = version.provenance | {"steps": 3}
    steps: list[int] = []
    stopped = replace(version, provenance=origin)
    done = reproduce(stopped, [str(toy)], told=lambda report: steps.append(report.step))
    assert steps == [1, 2, 3] and done.same_weights


def test_what_cannot_be_trained_again_says_why(
    toy_spec: Callable[..., StudySpec], run: RunStudy
) -> None:
    spec = toy_spec()
    run(spec, allow_code=True)
    (version,) = models(spec)
    clone = replace(version, provenance=version.provenance | {"parent": 0, "parent_step": 2})
    with pytest.raises(UsageError, match="a clone of trial 0 after epoch 2"):
        reproduce(clone, None)
    with pytest.raises(UsageError, match="did not record its objective"):
        reproduce(replace(version, provenance={}), None)
    older = {key: item for key, item in version.provenance.items() if key != "study_file"}
    with pytest.raises(UsageError, match="did not record its study_file"):
        reproduce(replace(version, provenance=older), None)
    (version.folder.parents[2] / "reproduce").write_text("a file in its place")
    with pytest.raises(StoreError, match=r"cannot train in .*/reproduce/toy-1"):
        reproduce(version, None)


def test_a_perfect_accuracy_is_in_its_own_interval(
    toy_spec: Callable[..., StudySpec], run: RunStudy, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding put it outside, so that a perfect model with other weights was not reproduced."""
    (toy / "toy_training.py").write_text(TOY.replace("(92 - noise) / 100", "1.0"))
    spec = toy_spec()
    run(spec, allow_code=True)
    (version,) = models(spec)
    monkeypatch.setenv("TOY_NOISE", "1")
    done = reproduce(version, [str(toy)])
    assert not done.same_weights and done.accepted
