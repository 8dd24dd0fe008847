"""Which versions there are: with their aliases, stages and tags, filtered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Engine

from hpo_core.errors import UsageError, nearest
from hpo_core.registry import gates, measured, references, tagging
from hpo_core.registry.measured import Measured
from hpo_core.registry.model_version import ModelVersion, read
from hpo_core.registry.references import ARCHIVED, LATEST
from hpo_core.registry.stages import STAGES, stage_of
from hpo_core.results import conditions
from hpo_core.results.trials import ResultTrial
from hpo_core.storage import studies
from hpo_core.storage.database import connect


@dataclass(frozen=True)
class Listed:
    """A version with what may change about it. `stage` is one of its aliases, `archived`, or None."""

    version: ModelVersion
    aliases: tuple[str, ...]
    stage: str | None
    tags: Mapping[str, str]
    latest: bool

    @property
    def words(self) -> tuple[str, ...]:
        """Its stage and its other aliases."""
        others = tuple(alias for alias in self.aliases if alias != self.stage)
        return others if self.stage is None else (self.stage, *others)

    @property
    def test(self) -> Measured | None:
        """The main metric on the test part: of `val_f1` the `f1`, or the accuracy where nobody has measured that."""
        part = (self.version.evaluation or {}).get("part", "test")
        found = {each.name: each for each in measured.numbers(self.version) if each.part == part}
        return found.get(self.version.metric.removeprefix("val_"), found.get("accuracy"))

    @property
    def gates(self) -> str | None:
        """`passed`, `failed`, or None where its study has no success_criteria."""
        if any(gates.failures(self.version)):
            return "failed"
        return "passed" if (self.version.evaluation or {}).get("gates") else None

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo models list --json`."""
        values = asdict(self.version)
        for key in ("provenance", "evaluation"):  # which `show` says
            del values[key]
        about = {"aliases": list(self.aliases), "stage": self.stage, "tags": dict(self.tags)}
        images = (self.version.evaluation or {}).get("n")
        test = None if self.test is None else asdict(self.test) | {"n": images}
        return values | about | {"test": test, "gates": self.gates}


@dataclass(frozen=True)
class Wanted:
    """Which versions are asked for; all that is given must be true of one.

    `alias` may be a stage, `archived` or `latest`. `where` is a condition as `hpo results query --where` has it, on
    metrics, options and parameters of the trial.
    """

    name: str | None = None
    study: str | None = None
    alias: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None


def find(engine: Engine, wanted: Wanted) -> list[Listed]:
    """The versions that are asked for, by name and number. Raises UsageError for words that nothing is called by."""
    with connect(engine) as connection:
        if wanted.name is not None:
            references.find(connection, wanted.name)
        versions = read(connection, wanted.name)
        marks = tagging.every(connection, wanted.name)
        known = {name: references.aliases(connection, name) for name in {v.name for v in versions}}
    newest = {version.name: version.version for version in versions}  # they come in order
    every = [
        _listed(version, known[version.name], marks, newest[version.name]) for version in versions
    ]
    found = [each for each in every if _fits(each, wanted)]
    if not found:
        _check_words(engine, wanted, every)
    return found if wanted.where is None else _where(found, every, wanted.where)


def _listed(
    version: ModelVersion,
    known: Mapping[str, int],
    marks: Mapping[tuple[str, int], dict[str, str]],
    newest: int,
) -> Listed:
    number = version.version
    its = marks.get((version.name, number), {})
    aliases = tuple(alias for alias, had in known.items() if had == number)
    shown = {key: value for key, value in its.items() if key != ARCHIVED}
    return Listed(version, aliases, stage_of(aliases, its), shown, number == newest)


def _fits(listed: Listed, wanted: Wanted) -> bool:
    words: Collection[str] = (*listed.aliases, listed.stage or "", LATEST * listed.latest)
    return (
        (wanted.study is None or listed.version.study == wanted.study)
        and (wanted.alias is None or wanted.alias in words)
        and all(listed.tags.get(key) == value for key, value in wanted.tags.items())
    )


def _check_words(engine: Engine, wanted: Wanted, every: list[Listed]) -> None:
    """Tell a slip of the pen from a study or an alias that no version has now."""
    if wanted.study is not None:
        known = {each.version.study for each in every}
        known |= {record.name for record in studies.all_studies(engine)}
        _check_word("study", wanted.study, sorted(known))
    if wanted.alias is not None:
        given = sorted({alias for each in every for alias in each.aliases} - {*STAGES})
        _check_word("alias", wanted.alias, [*given, *STAGES, ARCHIVED, LATEST])


def _check_word(what: str, word: str, known: list[str]) -> None:
    if word in known:
        return
    hint = nearest(word, known)
    guess = f" - did you mean '{hint}'?" if hint else f" (there is: {', '.join(known) or 'none'})"
    raise UsageError(f"there is no {what} '{word}'{guess}")


def _where(found: list[Listed], every: list[Listed], text: str) -> list[Listed]:
    if not every:
        raise UsageError("there is no model version to ask: register one first")
    test = conditions.parse(text, [_trial(each.version) for each in every])
    return [each for each in found if test(_trial(each.version))]


def _trial(version: ModelVersion) -> ResultTrial:
    """A version as the trial that it came from, for conditions."""
    metrics = {version.metric: version.value} | version.metrics
    measured = (version.evaluation or {}).get("metrics") or {}
    metrics |= {f"test.{name}": value for name, value in measured.items()}
    return ResultTrial(
        study=version.study,
        metric=version.metric,
        goal="maximize",
        number=version.trial,
        state="complete",
        value=version.value,
        best_step=1,
        epochs=1,
        attempt=1,
        seconds=None,
        reason="",
        params=version.params,
        options=version.options,
        metrics=metrics,
        curves={name: {1: value} for name, value in metrics.items()},
    )
