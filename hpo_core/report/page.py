"""The page of a report, and its files: made whole in memory, then written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from hpo_core.errors import DiskFullError, PluginError, UsageError, disk_is_full
from hpo_core.faults import point
from hpo_core.report import drawing
from hpo_core.report.facts import Facts, gather
from hpo_core.report.parts import Section
from hpo_core.report.sections import sections
from hpo_core.report.wording import moment, number, span, value


@dataclass(frozen=True)
class Report:
    """What is to be written: the page, and PNGs by their names, if they were asked for."""

    facts: Facts
    html: str
    pngs: dict[str, bytes]


def make(engine: Engine, study: str, *, pngs: bool = False) -> Report:
    """The report of a study. Raises UsageError where there is nothing to report, PluginError without the libraries."""
    _check_installed()
    facts = gather(engine, study)
    with drawing.style():
        found = list(sections(facts))
        drawings = [each for section in found for each in section.drawings]
        figures = {each.name: drawing.svg(each) for each in drawings}
        pictures = {each.name: drawing.png(each) for each in drawings} if pngs else {}
    return Report(facts, _html(facts, found, figures), pictures)


def write(report: Report, output: Path, folder: Path | None) -> None:
    """Write the page, and the PNGs into a folder, which is made. Raises UsageError where that cannot be."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
        for name, content in report.pngs.items():
            _place(folder / f"{name}.png", content)
    _place(output, report.html.encode("utf-8", "replace"))


def _place(path: Path, content: bytes) -> None:
    """A file that appears whole, or stays as it was."""
    part = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
        part = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        point("files.write")
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        kind = DiskFullError if disk_is_full(error) else UsageError
        raise kind(
            f"cannot write {path}: {error.strerror}; --output names another place"
        ) from error


def _umask() -> int:
    """The bits that new files do not get; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_installed() -> None:
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise PluginError(
            f"a report needs {error.name}: install hpo-core with its extra, `hpo-core[report]`"
        ) from error


def _html(facts: Facts, found: list[Section], figures: dict[str, str]) -> str:
    """The page. Everything is escaped but the figures, which were made from parsed XML (`drawing.svg`)."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hpo_core.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        facts=facts,
        sections=found,
        figures={name: Markup(svg) for name, svg in figures.items()},
        summary=_summary(facts),
        headline=list(_headline(facts)),
        version=importlib.metadata.version("hpo-core"),
        written=moment(time.time()),
    )


def _summary(facts: Facts) -> str:
    about = facts.course.about
    parts = [f"{facts.record.goal} {facts.metric}"]
    for name in ("sampler", "trial_scheduler", "executor"):
        if about.get(name):
            parts.append(f"{name.replace('_', ' ')} {about[name]}")
    drivers = facts.course.drivers
    if drivers:
        parts.append(f"{moment(drivers[0].began)} to {moment(drivers[-1].ended)}")
    return " · ".join(parts)


def _headline(facts: Facts) -> Iterator[tuple[str, str]]:
    best = facts.best
    if best is None:
        yield "result", "no trial succeeded"
    else:
        yield f"best {facts.metric}", number(best.value)
        yield "by trial", f"{best.number}, epoch {best.best_step} of {best.epochs}"
        if facts.model is not None:
            yield "model version", facts.model
        for name, given in best.params.items():
            yield name, value(given)
    target = facts.record.target
    finished = sum(trial.finished for trial in facts.trials)
    yield "trials finished", f"{finished}" if target is None else f"{finished} of {target}"
    for state in ("complete", "pruned", "fail", "running", "paused"):
        count = sum(trial.state == state for trial in facts.trials)
        if count:
            yield state, str(count)
    if facts.course.drivers:
        yield "time", span(facts.course.seconds)
