"""The objective `lemur`: a hand-written file in LEMUR's own style is trained, searched, resumed and refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hpo_models.lemur.declaration import declared
from safetensors.torch import load_file
from typer.testing import CliRunner

from hpo_core import CONTINUE, Checkpoint, Decision, Ending, Outcome, Report, Trial, Verdict
from hpo_core.cli.main import app
from hpo_core.errors import HpoError, StudyFileError, UsageError
from hpo_core.execution import execute
from hpo_core.testing.training import installed_catalog

# after nn-dataset's AlexNet: no call of train() or eval(), criteria in a tuple, a schedule of its own
NETWORK = """
import torch
import torch.nn as nn

from neighbour import WIDTH


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}


class Net(nn.Module):

    def train_setup(self, prm):
        self.to(self.device)
        self.criteria = (nn.CrossEntropyLoss().to(self.device),)
        self.optimizer = torch.optim.SGD(
            self.parameters(), lr=prm['lr'], momentum=prm['momentum']
        )
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=30, gamma=0.5)
        self.seen = 0

    def learn(self, train_data):
        for inputs, labels in train_data:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            outputs = self(inputs)
            loss = self.criteria[0](outputs, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 3)
            self.optimizer.step()
            self.scheduler.step()
            self.seen += len(labels)

    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device) -> None:
        super().__init__()
        self.device = device
        assert in_shape[0] == prm['batch'] and prm['epoch'] == prm['epoch_max']
        self.features = nn.Sequential(
            nn.Conv2d(in_shape[1], WIDTH, kernel_size=3, stride=2, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((4, 4)),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=prm['dropout']), nn.Linear(WIDTH * 4 * 4, out_shape[0])
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))
"""

NET = "class Net: train_setup = learn = 1\n"
SUPPORTED = "def supported_hyperparameters(): return {'lr'}\n"

PRM = {"lr": 0.1, "momentum": 0.9, "dropout": 0.1}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A network, and a module beside it that it imports."""
    (tmp_path / "alex-net.py").write_text(NETWORK)
    (tmp_path / "neighbour.py").write_text("WIDTH = 16\n")
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path and not [name for name in sys.modules if name.startswith("lemur_")]
    sys.modules.pop("neighbour", None)


def trial(folder: Path, **changes: Any) -> Trial:
    config = {
        "file": "alex-net.py",
        "epochs": 3,
        "dataset": {
            "name": "digits",
            "image_size": 8,
            "batch_size": 64,
            "channels": 1,
            "val_fraction": 0.15,
            "test_fraction": 0.15,
            "split_seed": 0,
        },
        "prm": PRM,
        "device": "cpu",
    }
    for key in config.keys() & changes.keys():
        config[key] = changes.pop(key)
    fields: dict[str, Any] = {
        "number": 0,
        "attempt": 1,
        "objective": "lemur",
        "params": {},
        "config": config,
        "seed": 5,
        "metric": "val_accuracy",
        "goal": "maximize",
        "directory": str(folder / "trial"),
        "code_path": [str(folder)],
    }
    return Trial(**{**fields, **changes})


def run(one: Trial, stop_after: int | None = None) -> tuple[Outcome, list[Report]]:
    reports: list[Report] = []

    def send(report: Report) -> Decision:
        reports.append(report)
        return Decision(Verdict.PAUSE) if report.step == stop_after else CONTINUE

    return execute(one, installed_catalog(), send), reports


def finished(one: Trial) -> list[Report]:
    outcome, reports = run(one)
    assert outcome.ending is Ending.COMPLETED, outcome.traceback or outcome.reason
    return reports


def newest(reports: list[Report]) -> Checkpoint:
    found = reports[-1].checkpoint
    assert found is not None
    return found


def test_learns(folder: Path) -> None:
    """Far above chance, which is 0.1; the rate is that of the epoch's last step, not of the next one."""
    reports = finished(trial(folder))
    assert [report.step for report in reports] == [1, 2, 3]
    assert reports[-1].metrics["val_accuracy"] > 0.6
    assert reports[-1].metrics["val_loss"] < reports[0].metrics["val_loss"]
    # 20 batches an epoch, halved after 30 and 60 steps: the 60th step is the last with 0.05
    assert [report.metrics["lr"] for report in reports] == [0.1, 0.05, 0.05]


def test_a_paused_trial_goes_on_as_if_it_had_not_stopped(folder: Path) -> None:
    whole = finished(trial(folder))
    outcome, first = run(trial(folder, directory=str(folder / "again")), stop_after=1)
    assert outcome.ending is Ending.PAUSED
    again = trial(folder, attempt=2, checkpoints=(newest(first),))
    assert [r.metrics for r in first + finished(again)] == [r.metrics for r in whole]
    one, other = (load_file(Path(newest(r).path) / "model.safetensors") for r in (whole, [*first]))
    assert one.keys() == other.keys() and {"features.0.weight"} <= one.keys()


def test_a_checkpoint_holds_no_pickle_and_every_counter(folder: Path) -> None:
    path = Path(newest(finished(trial(folder, epochs=1))).path)
    assert {file.name for file in path.iterdir()} == {
        "manifest.json",
        "model.safetensors",
        "state.json",
        "state.safetensors",
    }
    assert '["seen", 12' in (path / "state.json").read_text()


def test_a_clone_has_its_own_hyperparameters(folder: Path) -> None:
    """Its parent's weights and momentum; its own rate, at the same place of its own schedule."""
    _, parent = run(trial(folder), stop_after=2)
    child = trial(
        folder,
        number=1,
        parent=0,
        parent_step=2,
        checkpoints=(newest(parent),),
        prm=PRM | {"lr": 0.01},
        directory=str(folder / "child"),
    )
    [report] = finished(child)
    assert report.step == 3
    assert report.metrics["lr"] == pytest.approx(0.01 / 2)
    assert report.metrics["val_accuracy"] > 0.9 * parent[-1].metrics["val_accuracy"]


def test_another_networks_checkpoint_does_not_fit(folder: Path) -> None:
    _, reports = run(trial(folder), stop_after=1)
    (folder / "neighbour.py").write_text("WIDTH = 24\n")
    sys.modules.pop("neighbour")
    outcome, _ = run(trial(folder, attempt=2, checkpoints=(newest(reports),)))
    assert outcome.ending is Ending.FAILED and "does not fit" in outcome.reason


LATE = NETWORK.replace(
    "        self.scheduler = torch", "        self.made = lambda: torch"
).replace(
    "        for inputs, labels in",
    "        self.scheduler = self.made()\n        for inputs, labels in",
)


def test_what_cannot_be_put_back_has_no_checkpoint(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The trial is trained all the same, and says so once."""
    (folder / "alex-net.py").write_text(LATE)
    reports = finished(trial(folder, epochs=2))
    assert [report.checkpoint for report in reports] == [None, None]
    assert caplog.text.count("learn() makes 'scheduler', which train_setup() does not") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code_path": None}, "--allow-code"),
        ({"file": "alexnet.py"}, r"no file 'alexnet.py' in .* - did you mean 'alex-net.py'"),
        ({"prm": {"lr": 0.1, "momentum": 0.9}}, "alex-net.py also wants dropout"),
        (
            {"prm": {"lr": 0.1, "momentum": 0.9, "drop_out": 0.1}},
            "no hyperparameter 'drop_out' - did you mean 'dropout'",
        ),
        ({"prm": PRM | {"batch": 0.5}}, "'batch' comes from the study"),
        ({"metric": "accuracy"}, "it reports val_loss, val_accuracy, lr"),
    ],
)
def test_refuses(folder: Path, changes: dict[str, Any], message: str) -> None:
    """Before anything is trained; without --allow-code, before anything of the file is run."""
    if changes.get("code_path", "") is None:
        (folder / "alex-net.py").write_text("raise SystemExit('it was run')")
    outcome, reports = run(trial(folder, **changes))
    assert outcome.ending is Ending.FAILED and not reports
    with pytest.raises(Exception, match=message):
        raise HpoError(outcome.reason)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no class Net"),
        ("Net = 3", "no class Net"),
        ("class Net: train_setup = 1", "no learn"),
        ("class Net: train_setup = learn = 1", "no supported_hyperparameters"),
        (
            "class Net: train_setup = learn = 1\ndef supported_hyperparameters(): return 3",
            "no set of names: 3",
        ),
        ("raise KeyError('mine')", "mine"),
    ],
)
def test_what_is_not_lemurs(folder: Path, text: str, message: str) -> None:
    (folder / "alex-net.py").write_text(text)
    outcome, _ = run(trial(folder))
    assert outcome.ending is Ending.FAILED and message in outcome.reason


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        ("{'lr', 'momentum'}", {"lr", "momentum"}),
        ("['lr', 'batch', 'epoch', 'transform']", {"lr"}),
        ("{'lr': 0.001}", {"lr"}),
        ("set(NAMES)", None),
    ],
)
def test_declarations_are_read_without_running(
    tmp_path: Path, returned: str, names: set[str] | None
) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        f"raise SystemExit\n{NET}def supported_hyperparameters():\n    return {returned}\n"
    )
    assert declared(file) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "net.py has no class Net"),
        ("def f():\n    class Net: train_setup = learn = 1", "net.py has no class Net"),
        (
            "class Net(nn.Module):\n    def learn(self, d): ...",
            "class Net that has no train_setup()",
        ),
        (
            "class Own:\n    train_setup = 1\nclass Net(Own, object):\n    def learn2(self): ...",
            "class Net that has no learn()",
        ),
    ],
)
def test_a_network_that_is_not_there_is_missed_without_running(
    folder: Path, text: str, message: str
) -> None:
    """By the command that writes a study, and by the check of one: each says which file, and the study where."""
    file = folder / "net.py"
    study = folder / "net.yaml"
    file.write_text(f"{NET}{SUPPORTED}")
    assert hpo("models", "import-lemur", str(file), "-o", str(study)).exit_code == 0
    assert hpo("validate", str(study)).exit_code == 0
    file.write_text(f"raise SystemExit\n{text}\n{SUPPORTED}")
    refused = hpo("models", "import-lemur", str(file)).exception
    assert isinstance(refused, UsageError) and message in str(refused)
    checked = hpo("validate", str(study))
    line = study.read_text().splitlines().index(f'  file: "{file.name}"') + 1
    assert checked.exit_code == StudyFileError.exit_code
    assert f"{study}:{line}:3: objective.file: " in checked.output and message in checked.output
    either = "objective.file={choice: [alex-net.py, net.py]}"
    checked = hpo("validate", str(study), either)
    assert checked.exit_code == StudyFileError.exit_code
    assert "objective.file.choice.1: " in checked.output and message in checked.output


def test_the_file_beside_the_study_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one of the same name in the working directory; where there is none, none is blamed."""
    study, other = folder / "net.yaml", folder / "other"
    (folder / "net.py").write_text(f"{NET}{SUPPORTED}")
    assert hpo("models", "import-lemur", str(folder / "net.py"), "-o", str(study)).exit_code == 0
    other.mkdir()
    (other / "net.py").write_text("")
    monkeypatch.chdir(other)
    assert hpo("validate", str(study)).exit_code == 0
    (folder / "net.py").unlink()
    assert hpo("validate", str(study)).exit_code == StudyFileError.exit_code
    (other / "net.py").unlink()
    assert hpo("validate", str(study)).exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import Net",
        "from elsewhere import *",
        "Net = make()",
        "class Net(Elsewhere): pass",
        "@made\nclass Net: pass",
        "class Net(metaclass=Made): pass",
        "class Net: train_setup = 1\nNet.learn = 2",
        "class Net: train_setup = 1\nNet = wrapped(Net)",
        "from elsewhere import Net\nclass Net(Net): pass",
        "if here:\n    class Net: learn = 1\nelse:\n    from elsewhere import Net",
        "class Own(nn.Module):\n    def learn(self): ...\nclass Net(Own): train_setup = 1",
        "class Net:\n    if here:\n        from elsewhere import learn, train_setup",
    ],
)
def test_what_only_running_it_would_tell_is_taken_to_be_there(tmp_path: Path, text: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(f"{text}\n{SUPPORTED}")
    assert declared(file) == {"lr"}


def test_a_declaration_from_elsewhere_is_one_that_is_computed(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(f"{NET}from elsewhere import supported_hyperparameters\n")
    assert declared(file) is None
    file.write_text(NET)
    with pytest.raises(HpoError, match=r"net.py has no supported_hyperparameters\(\)"):
        declared(file)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = 1\nclass Net(:\n", "2:11"),
        ("x = 1\n\n    return 3\n", "3:4"),
        ("x = 1\nreturn 3\n", "2:1"),
    ],
)
def test_a_file_that_is_no_python_is_the_users_mistake(
    tmp_path: Path, text: str, place: str
) -> None:
    file = tmp_path / "net.py"
    file.write_text(text)
    refused = hpo("models", "import-lemur", str(file)).exception
    assert isinstance(refused, UsageError) and refused.exit_code == 2
    assert str(refused).startswith(f"{file}:{place}: this is no Python: ")


@pytest.mark.parametrize("text", [None, "\0", "# -*- coding: none -*-\n"])
def test_a_file_that_cannot_be_read_is_the_users_mistake(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "net.py"
    if text is not None:
        file.write_text(text)
    refused = hpo("models", "import-lemur", str(file)).exception
    assert isinstance(refused, UsageError) and str(file) in str(refused)


def hpo(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def test_a_study_of_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`import-lemur` writes it; it searches just what the file supports, with --allow-code and not without."""
    monkeypatch.chdir(folder)
    study = folder / "studies" / "alex.yaml"
    result = hpo("models", "import-lemur", "alex-net.py", "-o", str(study))
    assert result.exit_code == 0, result.output
    assert hpo("validate", str(study)).exit_code == 0
    small = ["budget.trials=2", "objective.epochs=1", "objective.dataset.image_size=8"]
    small += ["executor.name=inline", "storage=sqlite:///hpo.db"]
    refused = hpo("run", str(study), *small)
    assert isinstance(refused.exception, UsageError)
    result = hpo("run", str(study), *small, "--allow-code", "--json")
    assert result.exit_code == 0, result.output
    trials = json.loads(hpo("trials", "alex-net", "--storage", "sqlite:///hpo.db", "--json").stdout)
    assert [set(each["params"]) for each in trials] == [{f"prm.{name}" for name in PRM}] * 2
    assert {each["state"] for each in trials} <= {"complete", "pruned"}


def test_a_file_that_computes_what_it_supports(folder: Path) -> None:
    file = folder / "alex-net.py"
    file.write_text(NETWORK.replace("{'lr', 'momentum', 'dropout'}", "set(dict(lr=1))"))
    assert isinstance(hpo("models", "import-lemur", str(file)).exception, UsageError)
    text = hpo("models", "import-lemur", str(file), "--allow-code").stdout
    assert '"lr": {float: [1.0e-5, 1.0], log: true}' in text
    file.write_text("raise KeyError('mine')\n" + file.read_text())
    refused = hpo("models", "import-lemur", str(file), "--allow-code").exception
    assert isinstance(refused, UsageError)
    assert str(refused) == f"{file} cannot be imported: KeyError: 'mine'"


def test_values_are_from_0_to_1(folder: Path) -> None:
    study = folder / "alex.yaml"
    assert (
        hpo("models", "import-lemur", str(folder / "alex-net.py"), "-o", str(study)).exit_code == 0
    )
    result = hpo("validate", str(study), "objective.prm.dropout=1.5")
    assert result.exit_code != 0
