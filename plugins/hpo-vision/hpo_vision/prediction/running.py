"""`hpo predict` from its arguments to its exit code."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpo_vision.prediction import progress
from hpo_vision.prediction.choices import Format, Measure, Truth
from hpo_vision.prediction.explaining import Explainer
from hpo_vision.prediction.found import Search
from hpo_vision.prediction.models import Model, loaded
from hpo_vision.prediction.output import Output
from hpo_vision.prediction.predicting import predictions
from hpo_vision.prediction.reading import Reader, quiet
from hpo_vision.prediction.rows import Lines, Row, said
from hpo_vision.prediction.selection import Selection
from hpo_vision.prediction.tally import Tally
from hpo_vision.training.settings import Device
from hpo_vision.wording import counted


@dataclass(frozen=True)
class Asked:
    """The arguments of `hpo predict`, which says what they mean."""

    model: str
    words: tuple[str, ...]
    storage: str = "sqlite:///runs/hpo.db"
    format: Format = "jsonl"
    output: Path | None = None
    top: int = 5
    select: int | None = None
    by: Measure = "least-confidence"
    truth: Truth | None = None
    explain: Path | None = None
    batch_size: int = 64
    device: Device = "auto"
    most_pixels: int = 20_000_000
    json: bool = False


def run(asked: Asked) -> int:
    """Predict; the exit code. Raises UsageError for what cannot be done at all, before anything is written."""
    search = Search(asked.words).checked()
    with Output(asked.output) as output:
        model = loaded(asked.model, asked.storage, asked.device)
        explainer = (
            None
            if asked.explain is None
            else Explainer(model, asked.explain, _reader(asked, model))
        )
        return _Prediction(asked, search, output, model, explainer).run()


def _reader(asked: Asked, model: Model) -> Reader:
    return Reader(model.shape, asked.most_pixels)


class _Prediction:
    """A prediction while it goes on."""

    def __init__(
        self,
        asked: Asked,
        search: Search,
        output: Output,
        model: Model,
        explainer: Explainer | None,
    ) -> None:
        self._asked, self._search, self._output = asked, search, output
        self._model, self._explainer = model, explainer
        self._tally = Tally(frozenset(model.classes))
        self._lines = Lines(asked.format, min(asked.top, len(model.classes)))
        self._selection = None if asked.select is None else Selection(asked.select, asked.by)
        self._progress = self._shown()

    def run(self) -> int:
        """The exit code."""
        self._output.write(self._lines.head)
        with _stoppable(self._progress) as stopped, quiet():
            with self._progress:
                self._go(stopped)
            if self._selection is not None:
                self._tell(self._selection.rows())
        written = self._output.finish(early=bool(stopped))
        self._say_end(stopped[0] if stopped else None, written)
        if stopped:
            return 128 + stopped[0]
        return 1 if self._tally.failed else 0

    def _go(self, stopped: list[int]) -> None:
        asked = self._asked
        batches = predictions(
            self._model,
            _reader(asked, self._model),
            self._search,
            asked.batch_size,
            asked.top,
            asked.truth,
        )
        for rows in batches:
            self._take(rows)
            self._progress.show(self._tally)
            if stopped:
                batches.close()  # type: ignore[attr-defined]  # it is a generator
                return

    def _take(self, rows: list[Row]) -> None:
        for row in rows:
            self._tally.count(row)
        if self._selection is None:
            return self._tell(rows)
        for row in rows:
            self._selection.offer(row)
            if row.error is not None:  # it has no row where only some are selected
                self._progress.say(f"{said(row.path)}: {row.error}")

    def _tell(self, rows: list[Row]) -> None:
        if self._explainer is not None:
            rows = [replace(row, explanation=self._explainer.draw(row)) for row in rows]
        self._output.write("".join(map(self._lines.line, rows)))

    def _shown(self) -> progress.Progress:
        if self._asked.json:
            return progress.Lines(progress.event, progress.EVENT_SECONDS, self._events)
        rows_scroll_by = (
            self._asked.output is None and self._selection is None and sys.stdout.isatty()
        )
        if sys.stderr.isatty() and not rows_scroll_by:
            return progress.Bar(sum(1 for _ in Search(self._asked.words)))
        return progress.Lines(progress.text)

    @property
    def _events(self) -> Any:
        return sys.stderr if self._asked.output is None else sys.stdout

    def _say_end(self, signal_number: int | None, written: Path | None) -> None:
        tally = self._tally
        if self._asked.json:
            end = {
                "event": "done" if signal_number is None else "interrupted",
                "model": self._model.name,
                **tally.document(),
                "left_out": self._search.left_out,
                "output": None if written is None else str(written),
            }
            return print(json.dumps(end), file=self._events, flush=True)
        for line in self._end_lines(signal_number, written):
            print(line, file=sys.stderr)

    def _end_lines(self, signal_number: int | None, written: Path | None) -> Iterator[str]:
        tally = self._tally
        begun = "" if signal_number is None else "interrupted: "
        failed = f", {tally.failed:,} could not be read" if tally.failed else ""
        where = "" if written is None else f": {written}"
        yield f"{begun}{counted(tally.predicted, 'image')} predicted by {self._model.name}{failed}{where}"
        if self._search.left_out:
            yield f"left out, not called like an image: {counted(self._search.left_out, 'file')} of the folders"
        if tally.accuracy is not None:
            yield f"accuracy {tally.accuracy:.4f} ({tally.right:,} of {tally.known:,} are right)"
        if tally.unknown:
            yield f"in folders that are not called like a class of the model: {counted(tally.unknown, 'image')}"


@contextmanager
def _stoppable(view: progress.Progress) -> Iterator[list[int]]:
    """While this lasts the first SIGINT or SIGTERM is only noted, in the list; the second does what it would."""
    noted: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) for number in signals}

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        for each in signals:
            signal.signal(each, before[each])
        view.say("stopping after this batch (again to stop now)")

    for number in signals:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number in signals:
            signal.signal(number, before[number])
