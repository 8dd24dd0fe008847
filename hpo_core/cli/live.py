"""A run on a terminal: finished trials scroll by, a bar for each running one and one for the study stay below.

One thread draws, four times a second, whatever was said since; the driver only leaves its events here, so a study of
thousands of short trials is not slowed down by a slow terminal, and a signal handler that prints never meets the
driver's thread in the middle of drawing. `rich` takes over stderr and stdout while the bars stand, so that a warning
printed by anybody appears above them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo_core.cli.lines import finished_text, known
from hpo_core.cli.notices import QUIET, notice
from hpo_core.cli.progress import Progress, TrialProgress
from hpo_core.cli.summary import header_lines, summary_lines, totals
from hpo_core.cli.view import View
from hpo_core.cli.wording import about, number, parameters, span
from hpo_core.trial import Event

REFRESH_SECONDS = 0.25
MAX_BARS = 16  # more running trials than this are counted, not drawn


class LiveView(View):
    """Observes a run and draws it on `console`. `command` is the command line that continues the study."""

    def __init__(
        self, console: Console, command: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.console = console
        self.command = command
        self.clock = clock
        self.progress = Progress()
        self._said: list[Text] = []  # to be printed above the bars
        self._lock = threading.Lock()  # of the two above; never held while rich is called to print
        self._closing = threading.Event()
        self._live = Live(
            console=console, auto_refresh=False, transient=True, get_renderable=self.render
        )
        self._thread = threading.Thread(
            target=self._draw_until_closed, name="hpo view", daemon=True
        )
        self._live.start()
        self._thread.start()

    def on_event(self, event: Event) -> None:
        """Called by the driver for every event, after it was stored."""
        with self._lock:
            trial = known(self.progress, event)
            self.progress.apply(event)
            self._said += self._texts(event, trial)

    def close(self) -> None:
        """Take the bars away and say how the run ended, if it did. Calling it again does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()
        self.draw()
        self._live.stop()
        for line in summary_lines(self.progress, self.command):
            prose = line.startswith(("done", "stopped"))  # the rest is left whole, to be copied
            self.console.print(_summary_text(line), soft_wrap=not prose)

    def draw(self) -> None:
        """Print what was said since the last time, and the bars as they are now."""
        with self._lock:
            said, self._said = self._said, []
        if said:
            self.console.print(Group(*said))
        self._live.refresh()

    def render(self) -> RenderableType:
        """The bars, for rich. Reads the progress under the lock, since the driver goes on meanwhile."""
        with self._lock:
            now, width = self.clock(), self.console.width
            running = sorted(self.progress.running.values(), key=lambda trial: trial.number)
            parts: list[RenderableType] = [_bars(running[:MAX_BARS], now, width)] if running else []
            if len(running) > MAX_BARS:
                parts.append(Text(f" and {len(running) - MAX_BARS} more", style="dim"))
            if self.progress.about:
                parts.append(_overall(self.progress, now, width))
            return Group(*parts)

    def _draw_until_closed(self) -> None:
        while not self._closing.wait(REFRESH_SECONDS):
            self.draw()

    def _texts(self, event: Event, trial: TrialProgress | None) -> list[Text]:
        """What is printed about an event; `trial` is the trial as it was before the event."""
        match event.kind:
            case "study_started":
                first, *rest = header_lines(self.progress)
                return [Text(first, style="bold"), *(Text(line) for line in rest)]
            case "trial_finished":
                return [_finished(event, trial)]
            case _:
                line = notice(event, trial)
                style = "dim" if event.kind in QUIET else "yellow"
                return [Text(f" {line}", style=style)] if line else []


def _finished(event: Event, trial: TrialProgress | None) -> Text:
    """One line, cut where the terminal ends; only the reason of a failure is given the room that it needs."""
    failed = event.data["state"] == "fail"
    style = {"complete": "green", "pruned": "", "fail": "red"}[event.data["state"]]
    text = Text(f" {finished_text(event)}", style=style)
    if failed:
        return text
    if trial is not None and trial.params:
        text.append(f"  {parameters(trial.params)}", style="dim")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _bars(running: list[TrialProgress], now: float, width: int) -> Table:
    """One row for each running trial; what matters least goes first where the terminal is narrow."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="bold")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="dim")
    for trial in running:
        table.add_row(*_row(trial, now, width))
    return table


def _row(trial: TrialProgress, now: float, width: int) -> list[RenderableType]:
    epochs = f"{trial.step}/{trial.epochs}" if trial.epochs else str(trial.step)
    # a trial that says nothing of its epochs gets a bar that only shows that it lives
    bar_width = 18 if width >= 100 else 8
    bar = ProgressBar(trial.epochs, trial.step, bar_width) if trial.epochs else ""
    best = f"best {number(trial.best)}" if width >= 80 and trial.best is not None else ""
    took = span(max(now - trial.started, 0.0)) if width >= 50 else ""
    return [
        Text(f" trial {trial.number}"),
        Text(parameters(trial.params)),
        Text(f"epoch {epochs}" if width >= 80 else epochs),
        bar,
        Text(number(trial.latest)),
        Text(best),
        Text(took),
    ]


def _overall(progress: Progress, now: float, width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(
        Text(f" {totals(progress)}", style="bold"),
        ProgressBar(total=1, completed=progress.share(now), width=24 if width >= 100 else 8),
        _standing(progress, now),
    )
    return table


def _standing(progress: Progress, now: float) -> Text:
    """Best so far, time left, failures, pauses: the least important last, where a narrow terminal cuts."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if (leader := progress.leader) is not None:
        text.append(f"best {number(leader[1])} (trial {leader[0]})", "green")
    if left := progress.seconds_left(now):
        text.append(f"{' · ' if text else ''}{about(left)} left")
    for number_of, word, style in (
        (progress.counts["fail"], "failed", "red"),
        (len(progress.waiting), "paused", "yellow"),
        (progress.counts["pruned"], "pruned", "dim"),
    ):
        if number_of:
            text.append(f"{' · ' if text else ''}{number_of} {word}", style)
    return text


def _summary_text(line: str) -> Text:
    return Text(line, style="bold green" if line.startswith("best ") else "")
