"""A study file from what was found in a text: one training with these values, to be given ranges by who reads it.

Which objective and which options there are is looked up among the installed plugins. The text is checked as any study
file is before it is handed out, so what comes out of here can be run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpo_core.catalog import Catalog, noun
from hpo_core.errors import PluginError, StudyFileError
from hpo_core.extraction.findings import ExtractionError, Finder, Finding, rate, whole
from hpo_core.options import Component, Option, options_of
from hpo_core.spec import check
from hpo_core.yaml_source import parse

KINDS = {
    "model": "models",
    "dataset": "datasets",
    "optimizer": "optimizers",
    "lr_scheduler": "lr_schedulers",
}
"""The options that an objective must have to be the one that a text means, and their kinds."""

LR = 0.01
EPOCHS = 10
LOWEST_LR, HIGHEST_LR = 1e-4, 1.0

_PLAIN = re.compile(r"[A-Za-z]\w*(?:[/-]\w+)*", re.ASCII)
_WORDS_OF_YAML = ("true", "false", "null", "y", "n", "yes", "no", "on", "off")


@dataclass(frozen=True)
class Extracted:
    """A study file's text, and what each value of it comes from. `notes` say what of it the study cannot use."""

    text: str
    objective: str
    found: Mapping[str, Finding]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The document of `hpo extract --json`."""
        found = {name: asdict(finding) for name, finding in self.found.items()}
        return {"objective": self.objective, "found": found, "notes": self.notes} | {
            "study": self.text
        }


def extract(
    text: str,
    catalog: Catalog,
    *,
    name: str = "",
    objective: str | None = None,
    lowest: float = LOWEST_LR,
    highest: float = HIGHEST_LR,
) -> Extracted:
    """The study that a text describes, called `name` or by its model.

    Learning rates are kept from `lowest` to `highest`. Raises ExtractionError when the text names no model, or what
    cannot be, and PluginError when no plugin offers what such a study needs.
    """
    chosen = _objective(catalog, objective)
    entry = catalog.entry("objectives", chosen)
    options = options_of(entry.factory)
    finder = Finder(text, catalog)
    found = {
        option: _component(finder, catalog, options[option], kind) for option, kind in KINDS.items()
    }
    notes: list[str] = []
    inner = {name: _options(catalog, KINDS[name], str(found[name].value)) for name in KINDS}
    rates = inner["optimizer"].get("lr")
    if rates is not None:
        found["lr"] = _rate(finder, rates, lowest, highest, notes)
    elif (said := finder.number("lr", float)).line:
        notes.append(f"lr {said.written}: the optimizer '{found['optimizer'].value}' has no lr")
    if "epochs" in options:
        default = EPOCHS if options["epochs"].required else options["epochs"].default
        found["epochs"] = finder.number("epochs", whole(options["epochs"])).otherwise(default)
    sizes = inner["dataset"].get("batch_size")
    if sizes is not None and (size := finder.number("batch_size", whole(sizes))).line:
        found["batch_size"] = size
    title = _title(name or f"{found['model'].value}-from-text")
    document = "\n".join(_lines(title, chosen, _metric(catalog, chosen), found, notes)) + "\n"
    try:
        check(parse(document, "study"), catalog, Path("study.yaml"))
    except StudyFileError as error:
        wrong = "; ".join(f"{problem.path}: {problem.message}" for problem in error.problems)
        raise ExtractionError(f"what the text says makes no valid study: {wrong}") from error
    return Extracted(document, chosen, found, notes)


def _objective(catalog: Catalog, wanted: str | None) -> str:
    """The objective that trains a model on a dataset. Raises ExtractionError."""
    fits = [name for name in catalog.names("objectives") if _fits(catalog, name)]
    if wanted is not None:
        if wanted not in fits:
            options = ", ".join(KINDS)
            raise ExtractionError(
                f"the objective '{wanted}' cannot be used: it must be one with the options {options}"
                + (f" ({', '.join(fits)})" if fits else "")
            )
        return wanted
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise PluginError(
            "no installed plugin offers an objective that takes a model, a dataset, an optimizer and an LR scheduler"
        )
    raise ExtractionError(
        f"there are several objectives to choose from: --objective {'|'.join(fits)}"
    )


def _fits(catalog: Catalog, name: str) -> bool:
    try:
        options = options_of(catalog.entry("objectives", name).factory)
    except (PluginError, TypeError, ValueError, NameError):
        return False  # `hpo plugins show` says why
    return all(option in options and options[option].kind == kind for option, kind in KINDS.items())


def _metric(catalog: Catalog, objective: str) -> tuple[str, str]:
    """What the study optimizes. Raises PluginError where the objective does not say what is usual."""
    metric = getattr(catalog.entry("objectives", objective).factory, "metric", None)
    if metric is None:
        raise PluginError(f"the objective '{objective}' does not say which metric is optimized")
    name, goal = metric
    return str(name), str(goal)


def _component(finder: Finder, catalog: Catalog, option: Option, kind: str) -> Finding:
    """What the text says, else the objective's default, else a dataset of the first tier."""
    found = finder.component(option.name, kind)
    if found.line:
        return found
    if isinstance(option.default, Component):
        return found.otherwise(option.default.name)
    tiers = catalog.tiers(kind)
    if kind == "models" or not tiers:
        raise ExtractionError(
            f"the text names no {noun(kind)}: write `{option.name}: NAME` (hpo list {kind})"
        )
    return found.otherwise(tiers[min(tiers)][0])


def _rate(
    finder: Finder, option: Option, lowest: float, highest: float, notes: list[str]
) -> Finding:
    found = finder.number("lr", rate(option, lowest, highest))
    if not found.line:
        return found.otherwise(min(max(LR, lowest), highest))
    if float(found.written) != found.value:
        notes.append(
            f"lr {found.written} is outside {lowest:g}..{highest:g}: kept at {found.value:g}"
        )
    return found


def _options(catalog: Catalog, kind: str, name: str) -> Mapping[str, Option]:
    return options_of(catalog.entry(kind, name).factory)


def _title(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60]
    return plain or "study"


def _lines(
    title: str,
    objective: str,
    metric: tuple[str, str],
    found: Mapping[str, Finding],
    notes: list[str],
) -> Iterator[str]:
    yield "# One training, as a text describes it (`hpo extract`). Where each value comes from:"
    for name, finding in found.items():
        yield from (f"# {line}" for line in told(name, finding))
    yield from (f"#   note: {json.dumps(note)[1:-1]}" for note in notes)
    yield "# Searched is what a range stands for, lr: {float: [1e-4, 1], log: true} say; budget.trials is how often."
    yield f"study: {_scalar(title)}"
    yield f"metric: {{name: {_scalar(metric[0])}, goal: {metric[1]}}}"
    yield "budget: {trials: 1}"
    yield "objective:"
    yield f"  name: {_scalar(objective)}"
    if "epochs" in found:
        yield f"  epochs: {found['epochs'].value}"
    own = {"dataset": ["batch_size"], "optimizer": ["lr"]}
    for option in KINDS:
        inner = "".join(
            f", {key}: {found[key].value!r}" for key in own.get(option, ()) if key in found
        )
        yield f"  {option}: {{name: {_scalar(str(found[option].value))}{inner}}}"


def told(name: str, finding: Finding) -> Iterator[str]:
    """Where a value comes from, on lines without anything but printable ASCII."""
    if finding.line:
        place = f"line {finding.line}, {finding.source}, {_quoted(finding.how)}"
        yield f"  {name}: {finding.value} ({_quoted(finding.written)}, {place})"
    else:
        why = (
            "what the text says is passed over"
            if finding.passed_over
            else "the text says nothing of it"
        )
        yield f"  {name}: {finding.value} (default: {why})"
    for each in finding.passed_over:
        why = _quoted(each.why)
        yield f"    passed over: {_quoted(each.written)}, line {each.line}, {each.source}: {why}"


def _quoted(text: str) -> str:
    """Text of any origin as a comment may hold it."""
    return json.dumps(text[:80])[1:-1].replace('\\\\"', '"')


def _scalar(name: str) -> str:
    """A name as YAML writes it."""
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS_OF_YAML
    return name if plain else json.dumps(name)
