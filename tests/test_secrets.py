"""What `${env:NAME}` stands for is used, and is in nothing that a study leaves: whatever is made of it, and shown."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from postgres import Postgres
from sqlalchemy import MetaData, select

from hpo_core.cli import dashboard, main
from hpo_core.storage import database
from hpo_core.testing.distributions import use_distributions, write_distribution

CANARIES = ("canary-5ec2e7-a", "canary-5ec2e7-b", "canary-5ec2e7-c")

PLUGIN = '''
from typing import Annotated
from pydantic import Field
from hpo_core import Tracker, hookimpl


class Webhook(Tracker):
    """It loses its temper, and quotes the token."""

    def __init__(self, study, *, token: Annotated[str, Field(description="A secret.")]):
        assert token == "canary-5ec2e7-b", "the tracker needs the value"
        self.token = token

    def on_start(self, trial):
        pass

    def on_report(self, trial, report):
        pass

    def on_finish(self, trial, state, value, reason):
        raise RuntimeError(f"401: {self.token} is not known")

    def close(self):
        pass


@hookimpl
def register_trackers(register):
    register("webhook", Webhook)
'''

STUDY = """\
study: secretive
metric: {name: val_accuracy, goal: maximize}
budget: {trials: 1}
seed: 1
objective:
  name: image-classification
  epochs: 2
  dataset: {name: image-folder, path: "${env:HPO_TEST_DATA}", image_size: 16, batch_size: 16}
  model: {name: timm/test_resnet}
  optimizer: {name: adamw, lr: {float: [0.001, 0.01]}}
  device: cpu
sampler: random
executor: {name: processes, workers: 1}
trackers: [csv, {name: webhook, token: "${env:HPO_TEST_TOKEN}"}]
storage: "STORAGE"
register: {best_as: secretive}
success_criteria: {accuracy: 0.1}
"""


def pictures(folder: Path) -> Path:
    """Dark ones and bright ones."""
    for number in range(60):
        place = folder / ("bright" if number % 2 else "dark") / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), number + 150 * (number % 2)).save(place)
    return folder


@pytest.fixture
def storage(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database with a password, which the server does not ask for."""
    monkeypatch.setenv("HPO_TEST_PASSWORD", CANARIES[0])
    return postgres.fresh().replace("hpo@", "hpo:${env:HPO_TEST_PASSWORD}@")


def hpo(*words: object, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> None:
    """A command in this process, which has imported what takes seconds."""
    monkeypatch.setattr(sys, "argv", ["hpo", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert (caught.value.code or 0) == code


def served(storage: str) -> Iterator[tuple[str, bytes]]:
    """Everything that `hpo dashboard` answers about its only study."""
    application = dashboard.application(storage)

    def ask(path: str) -> bytes:
        told: list[str] = []
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(),
            "SERVER_NAME": "x",
            "SERVER_PORT": "1",
            "wsgi.url_scheme": "http",
        }
        answer = application(environ, lambda status, *_: told.append(status))
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        assert told[0].startswith("200"), (path, told, body[:300])
        return body

    detail = json.loads(ask("/api/studies/1"))
    assert detail["trials"] and detail["note"]["body"] and detail["artifacts"]
    kept = [f"/artifacts/1/{each['artifact_id']}" for each in detail["artifacts"]]
    pages = ["/dashboard", "/dashboard/studies/1/note", "/api/meta", "/api/studies"]
    for path in [*pages, "/api/studies/1", "/csv/1", *kept]:
        yield path, ask(path)


def rows(storage: str) -> Iterator[tuple[str, str]]:
    """Every row of every table."""
    engine, every = database.open_existing(storage), MetaData()
    every.reflect(engine)
    with engine.connect() as connection:
        for table in every.sorted_tables:
            for row in connection.execute(select(table)):
                yield table.name, repr(row)
    engine.dispose()


@pytest.mark.slow
def test_a_secret_is_in_nothing_that_a_study_leaves(
    storage: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HPO_TEST_TOKEN", CANARIES[1])
    data = pictures(tmp_path / "data" / CANARIES[2])
    monkeypatch.setenv("HPO_TEST_DATA", str(data))
    (tmp_path / "site").mkdir()
    write_distribution(tmp_path / "site", "hpo-webhook", PLUGIN)
    use_distributions(monkeypatch, tmp_path / "site")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("study.yaml").write_text(STUDY.replace("STORAGE", storage))
    command = [str(Path(sys.executable).with_name("hpo")), "run", "study.yaml", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ)
    assert ran.returncode == 0, ran.stderr
    assert "is not known" in ran.stderr + ran.stdout  # the tracker was told the secret, and told on
    Path("run.out").write_text(ran.stdout + ran.stderr)

    some = tmp_path / "others"
    Image.new("L", (16, 16), 255).save(some.mkdir() or some / "1.png")  # type: ignore[func-returns-value]
    said: dict[str, Any] = {"monkeypatch": monkeypatch}
    where = ("--storage", storage)
    hpo("export", "secretive", "--to", "exported", "--temperature", *where, **said)
    hpo("predict", "secretive", some, "--output", "rows.jsonl", *where, **said)
    hpo("report", "secretive", "--png", "figures", *where, **said)
    hpo("models", "promote", "secretive@1", "production", *where, **said)
    for words in (
        ("status",),
        ("show", "secretive", "0"),
        ("best", "secretive", "--json"),
        ("why", "secretive", "0"),
        ("recommend", "secretive"),
        ("models", "show", "secretive@1"),
        ("models", "card", "secretive@1"),
        ("models", "lineage", "secretive@1"),
        ("models", "list", "--json"),
    ):
        hpo(*words, *where, **said)
    shown = capfd.readouterr()
    found = {"what commands printed": (shown.out + shown.err).encode()}
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"model.onnx", "MODEL_CARD.md", "rows.jsonl", "report.html", "history.png"} <= names
    assert {"study.yaml", "provenance.json", "evaluation.json", "metrics.csv"} <= names
    found |= {str(path): path.read_bytes() for path in files}
    found |= dict(served(storage))
    tables = list(rows(storage))
    assert {"hpo_events", "hpo_model_versions", "study_user_attributes"} <= {
        name for name, _ in tables
    }
    found |= {f"{name} {index}": row.encode() for index, (name, row) in enumerate(tables)}
    told = [
        (name, canary)
        for name, text in found.items()
        for canary in CANARIES
        if canary.encode() in text
    ]
    assert told == []
