"""`hpo extract`: any text becomes a valid study or is refused with what is missing, and each value has its source."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from toys import plain, toy_catalog
from typer.testing import CliRunner

from hpo_core import Component, Kind, plugins
from hpo_core.catalog import Catalog, Entry
from hpo_core.cli.main import app
from hpo_core.errors import HpoError, PluginError
from hpo_core.extraction.findings import ExtractionError
from hpo_core.extraction.sources import SOURCES, Parts
from hpo_core.extraction.study import Extracted, extract
from hpo_core.spec import check
from hpo_core.yaml_source import parse


def fit(
    run: Any,
    *,
    epochs: Annotated[int, Field(ge=1, le=500)],
    model: Annotated[Component, Kind("models")],
    dataset: Annotated[Component, Kind("datasets")],
    optimizer: Annotated[Component, Kind("optimizers")] = Component("sgd"),
    lr_scheduler: Annotated[Component, Kind("lr_schedulers")] = Component("constant"),
) -> None:
    """An objective."""


fit.metric = ("val_accuracy", "maximize")  # type: ignore[attr-defined]


def images(seed: int, *, batch_size: Annotated[int, Field(ge=1, le=4096)] = 64) -> None:
    """A dataset."""


def folder(seed: int, *, path: str) -> None:
    """A dataset that needs an option."""


def rateless(params: Any) -> None:
    """An optimizer without a learning rate."""


def _catalog() -> Catalog:
    catalog = toy_catalog()
    offers: dict[str, dict[str, Any]] = {
        "objectives": {"fit": fit},
        "models": dict.fromkeys(
            ("resnet18", "ResNet34", "alexnet", "vgg-16", "timm/vit_tiny.augreg", "vit"), plain
        ),
        "datasets": {"cifar10": images, "digits": images, "csv": folder, "zoo/MNIST": images},
        "optimizers": {"prodigy": rateless, "focus": plain},
        "lr_schedulers": dict.fromkeys(
            ("A0_013", "cosine", "cosine-restarts", "one-cycle", "plateau", "linear"), plain
        ),
    }
    for kind, components in offers.items():
        for name, factory in components.items():
            tier = 1 if name == "digits" else None
            catalog.add(Entry(kind, name, factory, "toys", "hpo-toys", tier))
    return catalog


CATALOG = _catalog()


def _found(text: str, **wishes: Any) -> dict[str, Any]:
    return {name: each.value for name, each in extract(text, CATALOG, **wishes).found.items()}


def _valid(extracted: Extracted) -> Any:
    return check(parse(extracted.text, "study.yaml"), CATALOG, Path("study.yaml"))


PROMPT = """\
Fine-tune model_alexnet or model_ResNet18 <<<ACTIVE>>> on CIFAR-10, focus on accuracy.

## Hyperparameters
base_lr: 0.2
learning_rate: 5e-2
batch_size: 128
epochs: 30

## Config
lr = 0.1
optimizer: torch.optim.AdamW(betas=(0.9, 0.99))
model: resnet34

## Scheduler
CosineAnnealingWarmRestarts(T_0=10), initial_lr 0.3

## Database
SELECT model_name, learning_rate FROM runs WHERE epoch=50 AND lr = 0.7
"""


def test_a_prompt_becomes_a_study_and_says_which_source_won() -> None:
    made = extract(PROMPT, CATALOG, name="prompt")
    spec = _valid(made)
    assert spec.objective == {
        "name": "fit",
        "epochs": 30,
        "model": {"name": "resnet18"},
        "dataset": {"name": "cifar10", "batch_size": 128},
        "optimizer": {"name": "adamw", "lr": 0.05},
        "lr_scheduler": {"name": "cosine-restarts"},
    }
    assert (spec.study, spec.metric, spec.goal) == ("prompt", "val_accuracy", "maximize")
    lr = made.found["lr"]
    assert (lr.written, lr.line, lr.source, lr.how) == (
        "5e-2", 5, "hyperparameters", "named by 'learning_rate'",
    )  # fmt: skip
    assert [(each.written, each.line, each.source) for each in lr.passed_over] == [
        ("0.2", 4, "hyperparameters"),
        ("0.1", 10, "config"),
        ("0.3", 15, "scheduler"),
        ("0.7", 18, "database"),
    ]
    assert lr.passed_over[1].why == "'hyperparameters' comes before 'config'"
    model = made.found["model"]
    assert (model.line, model.how) == (1, "marked ACTIVE")
    assert {each.written for each in model.passed_over} == {"alexnet", "resnet34"}
    assert "#     passed over: 0.1, line 10, config" in made.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: ResNet-18", {"model": "resnet18"}),
        ("model_vgg-16, model: resnet18", {"model": "vgg-16"}),
        ("Train an AlexNet", {"model": "alexnet"}),
        ("model: timm/vit_tiny.augreg", {"model": "timm/vit_tiny.augreg"}),
        ("architecture = torchvision.models.resnet18()", {"model": "resnet18"}),
        ('{"model": {"name": "resnet18"}, "data_set": "MNIST"}', {"dataset": "zoo/MNIST"}),
        ("resnet18 on digits", {"dataset": "digits"}),
        ("resnet18, dataset: csv, trained on cifar-10", {"dataset": "cifar10"}),
        ("resnet18 and sgd optimizer", {"optimizer": "sgd"}),
        ("resnet18 with AdamW", {"optimizer": "adamw"}),
        ("resnet18: focus on the step", {"optimizer": "sgd", "lr_scheduler": "constant"}),
        ("resnet18, scheduler: step", {"lr_scheduler": "step"}),
        ("resnet18, StepLR", {"lr_scheduler": "step"}),
        ("resnet18, OneCycleLR", {"lr_scheduler": "one-cycle"}),
        ("resnet18, lr_scheduler = CosineAnnealingLR(T_max=9)", {"lr_scheduler": "cosine"}),
        ("resnet18, ReduceLROnPlateau", {"lr_scheduler": "plateau"}),
        ("resnet18 with step decay", {"lr_scheduler": "step"}),
        ("resnet18, the one cycle policy", {"lr_scheduler": "one-cycle"}),
        ("resnet18, a linear learning rate", {"lr_scheduler": "linear"}),
        ("resnet18, weight decay, in one cycle", {"lr_scheduler": "constant"}),
        ("resnet18, LinearLayer, A0_013", {"lr_scheduler": "A0_013"}),
        ("resnet18 for 7 epochs", {"epochs": 7}),
        ("resnet18, num_epochs=7, epochs: 9.5", {"epochs": 7}),
        ("resnet18, max epochs 1e2", {"epochs": 100}),
        ("resnet18, epochs 0, epochs 3", {"epochs": 3}),
        ("resnet18, epochs 5000", {"epochs": 10}),
        ("resnet18, batches of 32", {"batch_size": 32}),
        ("resnet18, learning rate of 3e-3", {"lr": 0.003}),
        ("resnet18, prm['lr'] = 0.25", {"lr": 0.25}),
        ("resnet18, lr 10", {"lr": 1.0}),
        ("resnet18, lr: 1e-9", {"lr": 1e-4}),
        ("resnet18, lr -1, lr 1e999", {"lr": 0.01}),
        ("resnet18 lr_scheduler 5", {"lr": 0.01}),
        ("resnet18 lr: 0.5 config: lr=0.4", {"lr": 0.5}),
        ("config: lr=0.4 resnet18\nlr: 0.5", {"lr": 0.4}),
        ("resnet18, linear warmup for 5 epochs, then train for 90 epochs", {"epochs": 90}),
        ("resnet18: 5 epochs of linear warm-up and 90 epochs", {"epochs": 90}),
        ("resnet18, 90 epochs with 5 epoch warmup", {"epochs": 90}),
        ("resnet18, warmup epochs: 5, epochs: 90", {"epochs": 90}),
        ("resnet18\nwarmup:\n  epochs: 5\nepochs: 90", {"epochs": 90}),
        ("resnet18\nwarmup: linear\nepochs: 90", {"epochs": 90}),
        ("resnet18, patience of 5 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, stop without improvement for 5 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, drop every 30 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, freeze the first 5 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, average the last 5 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, decay after 30 epochs; 90 epochs", {"epochs": 90}),
        ("resnet18, decay at epoch 30; 90 epochs", {"epochs": 90}),
        ("resnet18 saw 30 epochs, train it for 90 epochs", {"epochs": 90}),
        ("resnet18, epoch 30 is shown, train 90 epochs", {"epochs": 90}),
        ("resnet18, epochs: 90, for 5 epochs frozen", {"epochs": 90}),
        ("resnet18, after training for 90 epochs", {"epochs": 90}),
        ("resnet18 for 90 epochs, 3 times", {"epochs": 90}),
        ("resnet18 ('epochs', 3)", {"epochs": 3}),
        ("resnet18\nepochs,3", {"epochs": 3}),
        ("resnet18, 90 epochs and a warmup", {"epochs": 90}),
        ("resnet18, cosine annealing with warm restarts", {"lr_scheduler": "cosine-restarts"}),
        ("resnet18 with warm restarts", {"lr_scheduler": "cosine-restarts"}),
        ("resnet18, Cosine Annealing Warm Restarts", {"lr_scheduler": "cosine-restarts"}),
        ("resnet18, scheduler: cosine annealing with warm restarts", {"lr_scheduler": "cosine-restarts"}),
        ("resnet18, cosine annealing without warm restarts", {"lr_scheduler": "cosine"}),
        ("resnet18, cosine annealing", {"lr_scheduler": "cosine"}),
        ("resnet18, reduce on plateau", {"lr_scheduler": "plateau"}),
        ("resnet18, Reduce LR on plateau", {"lr_scheduler": "plateau"}),
        ("resnet18, reduce the learning rate on plateau", {"lr_scheduler": "plateau"}),
        ("resnet18, the 1cycle policy", {"lr_scheduler": "one-cycle"}),
        ("resnet18, the 1 cycle policy", {"lr_scheduler": "one-cycle"}),
        ("resnet18, onecycle", {"lr_scheduler": "one-cycle"}),
        ("resnet18, until the loss is on a plateau", {"lr_scheduler": "constant"}),
        ("resnet18: the machine restarts in 1 cycle", {"lr_scheduler": "constant"}),
        ("We do not use VGG16; instead ResNet18 on CIFAR-10", {"model": "resnet18", "dataset": "cifar10"}),
        ("We don't train the big AlexNet, but resnet18", {"model": "resnet18"}),
        ("Instead of VGG16 on MNIST, resnet18 on cifar10", {"model": "resnet18"}),
        ("Rather than using VGG16 or AlexNet, resnet18", {"model": "resnet18"}),
        ("Unlike AlexNet, resnet18", {"model": "resnet18"}),
        ("Unlike prior work with AlexNet, resnet18", {"model": "resnet18"}),
        ("Compared to AlexNet, resnet18", {"model": "resnet18"}),
        ("not model_alexnet, resnet18", {"model": "resnet18"}),
        ("Do not use model: alexnet; use resnet18", {"model": "resnet18"}),
        ("not only AlexNet, resnet18", {"model": "alexnet"}),
        ("AlexNet without augmentation on CIFAR-10", {"model": "alexnet", "dataset": "cifar10"}),
        ("pretrained: no model: alexnet, resnet34", {"model": "alexnet"}),
        ("resnet18, not on CIFAR-10, with AdamW", {"dataset": "digits", "optimizer": "adamw"}),
        ("resnet18 with no AdamW", {"optimizer": "sgd"}),
        ("resnet18, never StepLR", {"lr_scheduler": "constant"}),
        ("resnet18", {"epochs": 10, "lr": 0.01, "dataset": "digits", "lr_scheduler": "constant"}),
    ],
)  # fmt: skip
def test_a_rule_finds(text: str, expected: dict[str, Any]) -> None:
    made = extract(text, CATALOG)
    _valid(made)
    found = {name: each.value for name, each in made.found.items()}
    assert found | expected == found


@pytest.mark.parametrize(
    ("text", "name", "value", "why"),
    [
        ("resnet18, warmup for 5 epochs", "epochs", 10, "it belongs to 'warmup', not to the run"),
        ("resnet18, decay every 5 epochs", "epochs", 10, "'every' makes it no length of the run"),
        ("resnet18 without AdamW", "optimizer", "sgd", "negated"),
        ("resnet18, not on CIFAR-10", "dataset", "digits", "negated"),
        ("not alexnet, resnet18", "model", "resnet18", "negated"),
    ],
)  # fmt: skip
def test_what_its_context_takes_back_is_passed_over(
    text: str, name: str, value: Any, why: str
) -> None:
    made = extract(text, CATALOG)
    found = made.found[name]
    assert found.value == value
    assert [each.why for each in found.passed_over] == [why]
    assert why in made.text
    if name != "model":
        assert f"#   {name}: {value} (default: what the text says is passed over)" in made.text


def test_a_learning_rate_is_kept_in_its_range_unless_told() -> None:
    made = extract("resnet18, lr 10", CATALOG)
    assert made.notes == ["lr 10 is outside 0.0001..1: kept at 1"]
    assert "note: lr 10 is outside" in made.text
    assert _found("resnet18, lr 10", highest=20.0)["lr"] == 10.0
    assert _found("resnet18, lr 1e-6", lowest=1e-7)["lr"] == 1e-6


def test_a_value_that_the_study_has_no_place_for_is_noted() -> None:
    made = extract("resnet18, lr 0.3, optimizer: prodigy", CATALOG)
    assert "lr" not in made.found
    assert made.notes == ["lr 0.3: the optimizer 'prodigy' has no lr"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text names no model: write `model: NAME` (hpo list models)"),
        ("lr: 3", "the text names no model"),
        ("We do not use VGG16", "the text names no model"),
        ("Do not use model: alexnte", "the text names no model"),
        ("model: alexnte", "line 1 (named by 'model'): there is no model 'alexnte' - did you mean 'alexnet'?"),
        ("resnet18\nmodel_Foo <<<ACTIVE>>>", "line 2 (marked ACTIVE): there is no model 'Foo'"),
        ("resnet18\n\ndataset: csv", "line 3 (named by 'dataset'): the dataset 'csv' needs 'path'"),
        ("a" * 100_001, "the text has 100,001 characters: 100,000 are read at most"),
    ],
)  # fmt: skip
def test_a_text_without_a_study_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ExtractionError) as caught:
        extract(text, CATALOG)
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code == 3


def test_the_objective_is_the_one_with_the_options_that_a_text_fills() -> None:
    with pytest.raises(PluginError, match="no installed plugin offers an objective"):
        extract("resnet18", toy_catalog())
    both = _catalog()
    both.add(Entry("objectives", "other", fit, "toys", "hpo-toys"))
    with pytest.raises(ExtractionError, match=r"--objective fit\|other"):
        extract("resnet18", both)
    assert "  name: other" in extract("resnet18", both, objective="other").text
    with pytest.raises(ExtractionError, match="the objective 'toy' cannot be used"):
        extract("resnet18", both, objective="toy")


def test_parts_of_a_text_belong_to_their_source() -> None:
    text = (
        'text {"hyperparameters": {"a": {"b": 1}}, "x": 2} \n'
        "Config: lr=3\nfour\n\n[scheduler]\nfive\nOther:\nsix\n# Database\nseven\n"
        "# Else\neight\nINSERT nine\nthe config is ten and hyperparameters are eleven\n"
    )
    parts = Parts(text)

    def source(word: str) -> str:
        return SOURCES[parts.rank(text.index(word))]

    words = (
        "text",
        "1",
        "2",
        "=3",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
    )
    assert [source(word) for word in words] == [
        "text", "hyperparameters", "text", "config", "text", "scheduler", "text", "database", "text",
        "database", "text", "text",
    ]  # fmt: skip


WORDS = [
    "model", "model_", "resnet18", "ResNet34", "<<<ACTIVE>>>", "lr", "learning_rate", "epochs", "batch_size", "dataset",
    "cifar10", "scheduler", "optimizer", "sgd", "A0_013", "Config", "Database", "Hyperparameters", "SELECT", ":", "=",
    "{", "}", "[", "]", "(", "'", '"', "\n", " ", "#", "0.1", "1e-3", "-5", "1e999", "30", "csv", "name", "${env:HOME}",
    "!!python/object", "&a", "*a", "\u2028", "\x00", "\ud800", "\\",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=40))
def test_any_text_is_a_valid_study_or_a_clear_error(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        made = extract(text, CATALOG, name=text[:9])
    except HpoError as error:
        assert error.exit_code in (3, 4)
        assert str(error)
        return
    spec = _valid(made)
    assert made.text.isascii() and made.text.isprintable() is False  # of lines
    assert all(line.isprintable() for line in made.text.splitlines())
    assert spec.objective["model"]["name"] == made.found["model"].value
    assert 1e-4 <= spec.objective["optimizer"].get("lr", 0.1) <= 1
    again = extract(text, CATALOG, name=text[:9])
    assert again == made


@pytest.mark.parametrize(
    "piece",
    [
        *("config{", "model_a ", "lr ", "((((", "model: ", "a-", "name: {\n", "not a or "),
        *("cosine with ", "warm-up ", "5 epochs linear ", "train for "),
    ],
)
def test_a_long_text_is_read(piece: str) -> None:
    """Rules without bounds would take hours over such texts."""
    with contextlib.suppress(ExtractionError):
        extract((piece * 50_000)[:30_000] + " resnet18", CATALOG)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugins, "load_enabled", lambda: (CATALOG, []))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("installed")
def test_the_command_writes_a_study_and_says_on_stderr_where_values_come_from() -> None:
    Path("notes.txt").write_text("\ufeffresnet18, lr: 0.3\nconfig: lr=0.2")
    ran = CliRunner().invoke(app, ["extract", "notes.txt", "--output", "made/study.yaml"])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == ""
    assert "lr: 0.2 (0.2, line 2, config, named by 'lr')" in ran.stderr
    assert "  passed over: 0.3, line 1, text: 'config' comes before 'text'" in ran.stderr
    text = Path("made/study.yaml").read_text()
    assert check(parse(text, "s"), CATALOG, Path("s")).study == "notes"
    assert [path.name for path in Path("made").iterdir()] == ["study.yaml"]
    again = CliRunner().invoke(app, ["extract", "resnet18", "-o", "made/study.yaml"])
    assert "is there already" in str(again.exception)
    assert Path("made/study.yaml").read_text() == text


@pytest.mark.usefixtures("installed")
def test_the_command_takes_a_text_a_file_or_standard_input() -> None:
    shown = CliRunner().invoke(
        app, ["extract", "train resnet18 with lr 5", "--lr-max", "9", "--json"]
    )
    document = json.loads(shown.stdout)
    assert document["found"]["lr"]["value"] == 5.0
    assert (
        check(parse(document["study"], "s"), CATALOG, Path("s")).objective["optimizer"]["lr"] == 5
    )
    piped = CliRunner().invoke(app, ["extract", "-"], input="resnet18")
    assert check(parse(piped.stdout, "s"), CATALOG, Path("s")).study == "resnet18-from-text"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lost.txt"], "there is no file lost.txt"),
        (["x.bin"], "x.bin is not UTF-8: byte 0 cannot be read"),
        (["resnet18", "--lr-min", "2"], "--lr-min 2 and --lr-max 1 are no range"),
    ],
)
def test_what_cannot_be_read_is_said(words: list[str], said: str) -> None:
    Path("x.bin").write_bytes(b"\xff")
    assert said in str(CliRunner().invoke(app, ["extract", *words]).exception)


def test_nothing_is_written_where_the_text_is_refused(installed: None) -> None:
    ran = CliRunner().invoke(app, ["extract", "no model at all", "-o", "s.yaml"])
    assert isinstance(ran.exception, ExtractionError)
    assert not Path("s.yaml").exists()


def test_the_installed_plugins_are_enough() -> None:
    catalog, _ = plugins.load()
    made = extract("Train model_ResNet18 <<<ACTIVE>>>, lr: 0.1, epochs: 2, StepLR", catalog)
    spec = check(parse(made.text, "s.yaml"), catalog, Path("s.yaml"))
    assert spec.objective["lr_scheduler"]["name"] == "step"
    assert spec.objective["dataset"]["name"] == "digits"
