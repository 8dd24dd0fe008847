"""From a study file to the checked StudySpec that everything else works from.

The file is declared the way every plugin's options are (`hpo_core.options`): by the signature of a function,
`hpo_core.study_file.study_file`. Its checks, its defaults and its JSON Schema come from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo_core import addresses, consistency, evaluation, references, switches, yaml_source
from hpo_core.budget import Budget
from hpo_core.catalog import Catalog
from hpo_core.checking import Checker
from hpo_core.errors import StudyFileError
from hpo_core.retention import Keep
from hpo_core.space import Space
from hpo_core.study_file import study_file
from hpo_core.switches import Switches
from hpo_core.trial import Goal
from hpo_core.yaml_source import Source


@dataclass(frozen=True)
class StudySpec:
    """A study file, checked against the installed plugins, defaults filled in.

    The components are mappings with `name` and every option; `objective` may hold distributions. References to the
    environment are unresolved. `path` is where the file was read from: user code is looked up beside it. `disabled`
    are the plugins that are switched off, here or in an `hpo.toml`. `criteria` are the bounds of `success_criteria` by
    name, those that are set. `data_version` is the version of a dataset that the trials must learn from.
    """

    study: str
    metric: str
    goal: Goal
    budget: Budget
    seed: int
    objective: Mapping[str, Any]
    sampler: Mapping[str, Any]
    trial_scheduler: Mapping[str, Any]
    executor: Mapping[str, Any]
    trackers: tuple[Mapping[str, Any], ...]
    storage: str
    directory: str
    checkpoints: str | None
    keep: Keep
    best_as: str | None
    path: Path
    profiles: bool = True
    disabled: tuple[str, ...] = ()
    criteria: Mapping[str, float] = field(default_factory=dict)
    evaluation_timeout: float = 900.0
    data_version: str | None = None

    @property
    def space(self) -> Space:
        """The objective's options, without its name, as a space to search."""
        return Space({key: value for key, value in self.objective.items() if key != "name"})

    def identity(self) -> dict[str, Any]:
        """What must stay the same when a study is continued, as JSON types."""
        return {
            "metric": {"name": self.metric, "goal": self.goal},
            "seed": self.seed,
            "objective": dict(self.objective),
            "sampler": dict(self.sampler),
            "trial_scheduler": dict(self.trial_scheduler),
        }


def without_disabled(installed: Catalog, source: Source, path: Path) -> Catalog:
    """The catalog that a study is to be checked and run with. Raises StudyFileError for a wrong `hpo.toml`."""
    theirs = switches.of_file(installed, path.parent, Path())
    return installed.without(_switches(source) | theirs)


def read(path: Path, overrides: Iterable[str]) -> Source:
    """Read a study file with `key.path=value` overrides applied, and check nothing yet.

    Raises StudyFileError for a file that is no YAML, and UsageError for an override that is not `key=value`.
    """
    source = yaml_source.read(path)
    for override in overrides:
        source = yaml_source.apply_override(source, override)
    return source


def checked(source: Source, installed: Catalog, path: Path) -> tuple[StudySpec, Catalog]:
    """As `check`, and the catalog without the plugins that the study or an `hpo.toml` switches off."""
    catalog = without_disabled(installed, source, path)
    return check(source, catalog, path), catalog


def check(source: Source, catalog: Catalog, path: Path, *, runs_here: bool = True) -> StudySpec:
    """Check a source against the catalog. Raises StudyFileError with every problem at once.

    The environment that a study refers to must be set if it `runs_here`: another machine has its own.
    """
    catalog = catalog.without(_switches(source))
    checker = Checker(catalog)
    given = {key: value for key, value in source.data.items() if not str(key).startswith("x-")}
    tree = checker.options(study_file, "a study file", given, (), searchable=False)
    for place, name in references.missing(given) if runs_here else ():
        checker.blame(place, f"the environment variable {name} is not set")
    if isinstance(given.get("checkpoints"), str):
        _check_address(given["checkpoints"], checker)
    for index, name in enumerate(tree["plugins"]["disable"] if tree.get("plugins") else ()):
        if (wrong := switches.unknown(name, catalog)) is not None:
            checker.blame(("plugins", "disable", index), wrong[0], suggestion=wrong[1])
    if not checker.problems:
        folders = (path.resolve().parent, Path.cwd()) if runs_here else ()
        consistency.check(tree["objective"], checker, folders)
        _check_criteria(tree, checker)
    if checker.problems:
        located = [source.locate(place, problem) for place, problem in checker.problems]
        raise StudyFileError(source.name, located, source.text)
    return _spec(tree, path, tuple(sorted(catalog.switches)))


def _check_criteria(tree: Mapping[str, Any], checker: Checker) -> None:
    """Whether the criteria can ever be judged: of a model that is registered and that its objective measures."""
    if tree["success_criteria"] is None:
        return
    objective = tree["objective"]
    if tree["register"] is None:
        checker.blame(
            ("success_criteria",),
            "only a model that is registered is measured: add register: {best_as: NAME}",
        )
    elif not evaluation.evaluates(checker.catalog, objective["name"], objective):
        checker.blame(
            ("success_criteria",),
            f"the objective '{objective['name']}', as it is set here, does not measure its models",
        )


def _switches(source: Source) -> Switches:
    """The plugins that a study file switches off, which is yet to be checked."""
    section = source.data.get("plugins")
    names = section.get("disable") if isinstance(section, Mapping) else None
    found: Switches = {}
    for index, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str):
            mark = source.mark(("plugins", "disable", index))
            found[name] = f"{source.name}:{mark.line}" if mark.override is None else "an override"
    return found


def _check_address(address: str, checker: Checker) -> None:
    """Whether checkpoints could be kept there, as far as that can be told without asking."""
    found = addresses.problem(address)
    if found is not None:
        message, meant = found
        checker.blame(("checkpoints",), message, suggestion=meant)


def _spec(tree: Mapping[str, Any], path: Path, disabled: tuple[str, ...]) -> StudySpec:
    return StudySpec(
        study=tree["study"],
        metric=tree["metric"]["name"],
        goal=tree["metric"]["goal"],
        budget=Budget(**tree["budget"]),
        seed=tree["seed"],
        objective=tree["objective"],
        sampler=tree["sampler"],
        trial_scheduler=tree["trial_scheduler"],
        executor=tree["executor"],
        trackers=tuple(tree["trackers"]),
        storage=tree["storage"],
        directory=tree["directory"],
        checkpoints=tree["checkpoints"],
        keep=Keep(**tree["keep"]),
        best_as=tree["register"]["best_as"] if tree["register"] else None,
        path=path,
        profiles=tree["profiles"],
        disabled=disabled,
        criteria=_bounds(tree["success_criteria"]),
        evaluation_timeout=(tree["register"] or {}).get("evaluation_timeout", 900.0),
        data_version=tree["data_version"],
    )


def _bounds(criteria: Mapping[str, Any] | None) -> dict[str, float]:
    """Those that are set."""
    return {name: bound for name, bound in (criteria or {}).items() if bound is not None}
