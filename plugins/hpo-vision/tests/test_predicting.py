"""`hpo predict`: what its rows say, how unsure models are, what becomes of its file, and how it ends."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hpo_vision.prediction import running
from hpo_vision.prediction.models import Model
from hpo_vision.prediction.output import Output
from hpo_vision.prediction.progress import Lines as ProgressLines
from hpo_vision.prediction.progress import event, text
from hpo_vision.prediction.rows import Lines, Row, judged
from hpo_vision.prediction.running import Asked, run
from hpo_vision.prediction.selection import Selection
from hpo_vision.prediction.tally import Tally
from PIL import Image
from predictors import brightness
from torch import Tensor

from hpo_core.commands import UsageError

GREYS = (0, 250, 100, 127, 30, 255, 140)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Pictures of one grey each, in folders of what they are."""
    for number, grey in enumerate(GREYS):
        folder = tmp_path / "images" / ("bright" if grey > 127 else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), grey).save(folder / f"{number}-{grey}.png")
    return tmp_path / "images"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], None]:
    def use(model: Model) -> None:
        monkeypatch.setattr(running, "loaded", lambda *given: model)

    use(brightness())
    return use


def asked(*words: object, **options: Any) -> Asked:
    return Asked(model="m", words=tuple(map(str, words)), batch_size=3, **options)


def rows_of(stdout: str) -> list[Any]:
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0)])
def test_how_unsure_a_model_is(shares: tuple[float, ...]) -> None:
    logits = torch.tensor([shares], dtype=torch.float64).log()
    [(likeliest, unsure)] = judged(logits, "xyz", 2)
    assert list(likeliest) == ["x", "y"] and likeliest["x"] == pytest.approx(shares[0])
    entropy = -sum(share * math.log(share) for share in shares if share) / math.log(3)
    assert unsure["least-confidence"] == pytest.approx(1 - shares[0])
    assert unsure["margin"] == pytest.approx(1 - (shares[0] - shares[1]))
    assert unsure["entropy"] == pytest.approx(entropy)
    assert judged(logits, "xyz", 1)[0] == ({"x": likeliest["x"]}, unsure)
    assert len(judged(logits, "xyz", 99)[0][0]) == 3


def test_rows_do_not_depend_on_batches(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for size in (1, 2, 7, 100):
        assert run(replace(asked(images), batch_size=size)) == 0
        told.append(capsys.readouterr().out)
    assert told[0].count("\n") == len(GREYS) and len(set(told)) == 1
    first = rows_of(told[0])[0]
    assert first["path"] == str(images / "bright" / "1-250.png") and first["label"] == "bright"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["probability"] == first["probabilities"]["bright"]


def test_the_truth_by_folders(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "dark" / "4-30.png").rename(images / "bright" / "4-30.png")  # one is wrong
    (images / "else").mkdir()
    (images / "dark" / "0-0.png").rename(images / "else" / "0-0.png")
    assert run(asked(images, truth="folder", json=True)) == 0
    shown = capsys.readouterr()
    end = rows_of(shown.err)[-1]
    assert end["event"] == "done" and end["accuracy"] == 5 / 6 and end["unknown"] == 1
    wrong = [row["path"][-8:] for row in rows_of(shown.out) if row["label"] != row["truth"]]
    assert wrong == ["4-30.png", "/0-0.png"]
    assert run(asked(images, truth="folder")) == 0
    assert (
        "accuracy 0.8333 (5 of 6 are right)\nin folders that are not called"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("measure", ["least-confidence", "margin", "entropy"])
def test_the_most_uncertain_are_selected(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str], measure: Any
) -> None:
    (images / "cut.png").write_bytes(b"x")
    (images / "c\n\x1b[31m.png").write_bytes(b"x")
    assert run(asked(images, select=3, by=measure)) == 1
    shown = capsys.readouterr()
    assert [Path(row["path"]).stem for row in rows_of(shown.out)] == ["3-127", "6-140", "2-100"]
    assert f"{images}/cut.png: no known format\n" in shown.err
    assert f"{images}/c\\n\\x1b[31m.png: no known format\n" in shown.err


def test_among_equals_the_first_are_selected() -> None:
    selection = Selection(2, "margin")
    for name, value in (("a", 0.5), ("b", 0.1), ("c", 0.5), ("d", 0.5)):
        selection.offer(Row(name, "x", {"x": 1.0}, {"margin": value}))
    selection.offer(Row("e", error="it is empty"))
    assert [row.path for row in selection.rows()] == ["a", "c"]


def test_a_table_reads_back(
    tmp_path: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    model(brightness(classes=("dark, very", 'b"right', "never")))
    Image.new("L", (4, 4), 255).save(tmp_path / 'a,\n"b.png')
    (tmp_path / "x.png").touch()
    assert run(asked(tmp_path, format="csv", top=2)) == 1
    shown = capsys.readouterr()
    good, bad = csv.DictReader(io.StringIO(shown.out))
    assert good["path"] == str(tmp_path / 'a,\n"b.png') and good["label"] == 'b"right'
    assert good["label_2"] == "dark, very" and float(good["probability"]) > 0.99
    assert float(good["least_confidence"]) == pytest.approx(1 - float(good["probability"]))
    assert bad["error"] == "it is empty" and bad["label"] == bad["entropy"] == ""
    assert "1 image predicted by brightness, 1 could not be read" in shown.err


def test_a_file_is_written_whole(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    to = tmp_path / "rows.jsonl"
    to.write_text("old")
    assert run(asked(images, output=to)) == 0
    assert len(rows_of(to.read_text())) == len(GREYS) and capsys.readouterr().out == ""
    link = tmp_path / "link"
    link.symlink_to(to)
    assert run(asked(images / "dark", output=link, json=True)) == 0
    assert link.is_symlink() and len(rows_of(to.read_text())) == 4
    assert rows_of(capsys.readouterr().out)[-1]["output"] == str(to)


def failing(after: int, fail: Callable[[], None]) -> Model:
    """A model that something happens to at a batch."""
    good, calls = brightness(), []

    def logits(pixels: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > after:
            fail()
        return good.logits(pixels)

    return replace(good, logits=logits)


def test_a_file_is_not_written_at_all(
    images: Path, model: Callable[[Model], None], tmp_path: Path
) -> None:
    def fail() -> None:
        raise KeyError("a mistake of ours")

    before = {"images", "rows.jsonl"}
    (tmp_path / "rows.jsonl").write_text("old")
    model(failing(1, fail))
    with pytest.raises(KeyError):
        run(asked(images, output=tmp_path / "rows.jsonl"))
    assert (tmp_path / "rows.jsonl").read_text() == "old" and set(os.listdir(tmp_path)) == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from hpo_vision.prediction.output import Output

with Output(Path(sys.argv[1])) as output:
    output.write("half of a row")
    os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    Path.replace = os.replace
    if sys.argv[2] == "late":
        output.finish()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["early", "late"])
def test_a_killed_process_leaves_nothing_that_stays(tmp_path: Path, moment: str) -> None:
    to = tmp_path / "rows.jsonl"
    to.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, to, moment], timeout=120)
    assert done.returncode == -signal.SIGKILL and to.read_text() == "old"
    assert set(os.listdir(tmp_path)) == {"rows.jsonl", ".rows.jsonl.part"}
    with Output(to) as output:
        output.write("new")
        with pytest.raises(UsageError, match="another process is writing it"), Output(to):
            pass
        assert output.finish() == to
    assert to.read_text() == "new" and os.listdir(tmp_path) == ["rows.jsonl"]


def test_a_file_that_got_its_name_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process opens the unfinished file, and another one finishes it before the first has locked it."""
    to, first = tmp_path / "rows.jsonl", Output(tmp_path / "rows.jsonl")
    first.__enter__()
    lock = fcntl.flock

    def late(file: Any, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        first.write("of the first")
        first.finish()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Output(to) as second:
        second.write("half")
        assert to.read_text() == "of the first"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_batch(
    images: Path,
    model: Callable[[Model], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    handler = signal.getsignal(number)
    for to in (None, tmp_path / "rows.jsonl"):
        model(failing(1, lambda: os.kill(os.getpid(), number)))
        assert run(asked(images, output=to)) == 128 + number
        shown = capsys.readouterr()
        assert "interrupted: 6 images predicted" in shown.err
        told = shown.out if to is None else (tmp_path / "rows.jsonl.partial").read_text()
        assert len(rows_of(told)) == 6
    assert set(os.listdir(tmp_path)) == {"images", "rows.jsonl.partial"}
    assert signal.getsignal(number) is handler


def test_what_was_selected_before_a_signal_is_told(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    model(failing(0, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert run(asked(images, select=2)) == 130
    assert len(rows_of(capsys.readouterr().out)) == 2


def test_where_a_file_cannot_be(tmp_path: Path) -> None:
    for path, said in (
        (Path("/dev/null"), "is no file"),
        (tmp_path, "is no file"),
        (tmp_path / "nowhere" / "x", "no such file"),
    ):
        with pytest.raises(UsageError, match=f"(?i)cannot write {path}.*{said}"), Output(path):
            pass


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(UsageError, match="cannot write stdout: No space left"), Output(None) as to:
        to.write("x")


def test_nothing_to_predict(tmp_path: Path, model: Callable[[Model], None]) -> None:
    with pytest.raises(UsageError, match="there is no image in"):
        run(asked(tmp_path))
    with pytest.raises(UsageError, match="no path was given: give images, folders"):
        run(asked())


def test_numbers_that_are_none_are_errors(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    good = brightness()
    model(replace(good, logits=lambda pixels: good.logits(pixels) * float("nan")))
    assert run(asked(images)) == 1
    assert {row["error"] for row in rows_of(capsys.readouterr().out)} == {
        "the model's answer is not finite"
    }


def test_one_of_a_thing_is_no_plural(
    images: Path, model: Callable[[Model], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "dark" / "notes.txt").touch()
    (images / "else").mkdir()
    (images / "bright" / "1-250.png").rename(images / "else" / "1-250.png")
    run(
        asked(
            images / "dark" / "notes.txt",
            images / "else",
            images / "dark" / "0-0.png",
            truth="folder",
        )
    )
    told = capsys.readouterr().err
    assert told.startswith("2 images predicted by brightness, 1 could not be read\n")
    assert told.endswith("in folders that are not called like a class of the model: 1 image\n")
    run(asked(images / "dark"))
    assert capsys.readouterr().err == (
        "4 images predicted by brightness\nleft out, not called like an image: 1 file of the folders\n"
    )


def test_lines_in_a_pipe_are_few() -> None:
    stream, now = io.StringIO(), [0.0]
    tally = Tally({"x"})
    for make, expected in ((text, "2 images, 1 of them could not be read"), (event, '"failed": 1')):
        lines = ProgressLines(make, 30, stream, lambda: now[0])
        tally.predicted, tally.failed = 1, 1
        for _ in range(100):
            now[0] += 1
            lines.show(tally)
        assert stream.getvalue().count(expected) == 3 == stream.getvalue().count("\n")
        stream.seek(0)
        stream.truncate()


def test_columns_are_the_same_for_all_rows() -> None:
    lines = Lines("csv", 3)
    for row in (Row("x", error="y"), Row("x", "a", {"a": 1.0}, {"margin": 0.1}, "a", "why.png")):
        assert len(next(csv.reader([lines.line(row)]))) == len(next(csv.reader([lines.head])))
