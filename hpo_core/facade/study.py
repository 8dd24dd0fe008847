"""A study as a program writes or loads it, checks it and runs it.

There is a method for each key of a study file, of the same name, and each gives a new study, so that they can be
chained. What they are given becomes an override, as on the command line: nothing is checked twice, or differently, and
an error shows the value with a caret under what is wrong.

>>> from hpo_core import Component, Float, Study
>>> study = (
...     Study("shallow")
...     .metric("val_accuracy", "maximize")
...     .budget(trials=20)
...     .objective(
...         "image-classification",
...         epochs=3,
...         dataset=Component("digits", {"image_size": 16}),
...         model="resnet18",
...         optimizer={"name": "sgd", "lr": Float(1e-3, 1.0, log=True)},
...     )
...     .sampler("tpe", startup_trials=5)
...     .trial_scheduler("asha", min_epochs=1)
...     .register("resnet18-digits")
... )
>>> spec, catalog = study.check()
>>> sorted(spec.space.parameters())
['optimizer.lr']
>>> Study.from_dict(study.to_dict()) == study
True
>>> study.sampler("tpe", startup_trails=5).check()
Traceback (most recent call last):
    ...
hpo_core.errors.StudyFileError: override:1:25: sampler.startup_trails: the sampler 'tpe' has no option \
'startup_trails' - did you mean 'startup_trials'?
    sampler={"name": "tpe", "startup_trails": 5}
                            ^

`folder` is a new folder here; `python` is an objective that calls a function, which its user must allow:

>>> small = Study.load("studies/branin.yaml", "budget.trials=3")
>>> result = small.storage(f"sqlite:///{folder}/hpo.db").directory(folder).run(allow_code=True)
>>> result.counts["complete"], result.best.number in (0, 1, 2)
(3, True)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from hpo_core import plugins, yaml_source
from hpo_core import spec as specs
from hpo_core.catalog import Catalog
from hpo_core.facade.document import override
from hpo_core.facade.result import StudyResult
from hpo_core.spec import StudySpec
from hpo_core.trial import Event, Goal
from hpo_core.yaml_source import Source

Observer = Callable[[Event], None]


class Study:
    """A study that may be run, wherever it was written: nothing of it is checked before `check` or `run`.

    Immutable; equal to another one that says the same. User code that it names is looked up in `folder`, and then in
    the working directory.
    """

    def __init__(self, name: str, folder: str | Path = ".") -> None:
        empty = yaml_source.parse("{}", f"study '{name}'")
        self._source: Source = yaml_source.apply_override(empty, override("study", name))
        self._path = Path(folder, "study.yaml")  # which need not be there
        self._observers: tuple[Observer, ...] = ()

    @classmethod
    def load(cls, path: str | Path, *overrides: str) -> Study:
        """The study of a file, with `key.path=value` overrides as on the command line.

        Raises StudyFileError when the file cannot be read or is no YAML, UsageError for an override that is none.
        """
        return cls._of(specs.read(Path(path), overrides), Path(path))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], folder: str | Path = ".") -> Study:
        """The study that `document` describes, with the keys of a study file: the inverse of `to_dict`."""
        study = cls._of(yaml_source.parse("{}", "study"), Path(folder, "study.yaml"))
        for key, value in document.items():
            study = study._with(key, value)
        return study

    def to_dict(self) -> dict[str, Any]:
        """What a study file would hold, in JSON types: defaults left out, references to the environment as they are.

        Observers are no part of it.
        """
        return copy.deepcopy(dict(self._source.data))

    # ---- what a study file says ----

    def metric(self, name: str, goal: Goal) -> Study:
        """Which number is optimized, as the objective reports it, and which way is better."""
        return self._with("metric", {"name": name, "goal": goal})

    def budget(
        self,
        *,
        trials: int | None = None,
        epochs: int | None = None,
        hours: float | None = None,
        max_attempts: int | None = None,
    ) -> Study:
        """When the study is done: at the first of these totals, over every run of it.

        A trial that has lost its worker `max_attempts` times fails.
        """
        limits = {"trials": trials, "epochs": epochs, "hours": hours, "max_attempts": max_attempts}
        return self._with("budget", {key: each for key, each in limits.items() if each is not None})

    def seed(self, seed: int) -> Study:
        """What all randomness derives from."""
        return self._with("seed", seed)

    def objective(self, name: str, **options: Any) -> Study:
        """What a trial runs. Any option may be a distribution: `hpo_core.Float`, `Int`, `Choice`."""
        return self._component("objective", name, options)

    def sampler(self, name: str, **options: Any) -> Study:
        """Who proposes parameters."""
        return self._component("sampler", name, options)

    def trial_scheduler(self, name: str, **options: Any) -> Study:
        """Who stops, pauses and clones trials."""
        return self._component("trial_scheduler", name, options)

    def executor(self, name: str, **options: Any) -> Study:
        """Where trials run."""
        return self._component("executor", name, options)

    def trackers(self, *components: Any) -> Study:
        """Who else is told of every epoch: names, or components with options."""
        return self._with("trackers", list(components))

    def storage(self, address: str) -> Study:
        """The database. A password goes in by reference: `${env:NAME}`."""
        return self._with("storage", address)

    def directory(self, path: str | Path) -> Study:
        """The folder for logs, checkpoints and model versions."""
        return self._with("directory", path)

    def checkpoints(self, where: str | Path | None) -> Study:
        """Where checkpoints are kept instead: a folder, or an fsspec URL; None: in the study's own folder."""
        return self._with("checkpoints", where)

    def keep(self, **rules: Any) -> Study:
        """Which checkpoints are kept: `last`, `best`, `paused`."""
        return self._with("keep", rules)

    def register(self, best_as: str, **options: Any) -> Study:
        """The model that the best trial's checkpoint becomes a version of."""
        return self._with("register", {"best_as": best_as, **options})

    def data_version(self, reference: str | None) -> Study:
        """The registered version of the dataset's files without which nothing is run: `pets@3`, `pets@TAG`."""
        return self._with("data_version", reference)

    def success_criteria(self, **bounds: float) -> Study:
        """What a registered model must do on the test part before it is promoted: `accuracy=0.9`."""
        return self._with("success_criteria", bounds)

    def plugins(self, *, disable: list[str]) -> Study:
        """Which of the installed plugins the study does without."""
        return self._with("plugins", {"disable": disable})

    def profiles(self, begin_with_them: bool) -> Study:
        """Whether the first trials are those that components are known to do well with."""
        return self._with("profiles", begin_with_them)

    # ---- what only a program has ----

    def monitor(self, observer: Observer) -> Study:
        """Have `observer` called with every event (`hpo_core.Event`) once it is stored, beside those there are.

        Called in the thread that runs the study, which waits for it; what it raises ends the run.
        """
        monitored = self._of(self._source, self._path)
        monitored._observers = (*self._observers, observer)
        return monitored

    def check(self) -> tuple[StudySpec, Catalog]:
        """What the study comes to, and the plugins that are to run it. Imports neither torch nor Optuna.

        Raises StudyFileError with every problem at once.
        """
        return specs.checked(self._source, plugins.load()[0], self._path)

    def run(
        self,
        *,
        more: int = 0,
        fresh: bool = False,
        allow_code: bool = False,
        accept_changes: bool = False,
        on_interrupt: Callable[[str], None] = lambda _: None,
        on_outage: Callable[[str], None] = lambda _: None,
    ) -> StudyResult:
        """Run the study, or continue it to the same total; a finished one is only read.

        `more` adds trials to its budget for good, `fresh` sets the study of this name aside first, `allow_code` lets it
        import user code, `accept_changes` continues although ranges or choices are others than at the last run.
        In the main thread a first SIGINT or SIGTERM ends it after the running epochs, of which `on_interrupt` is told,
        and a second one at once; the result then says so, and the same call continues. `on_outage` is told in a
        sentence that the database is away, and that it is back. Raises HpoError as the command line prints it.
        """
        from hpo_core import runner

        spec, catalog = self.check()
        wishes = runner.Wishes(more, fresh, allow_code, accept_changes)
        stopped = runner.run(spec, catalog, self._observers, wishes, on_interrupt, on_outage)
        return StudyResult.read(spec.study, spec.storage, stopped_by=stopped)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Study):
            return NotImplemented
        mine, theirs = (
            (study.to_dict(), study._path.absolute().parent, study._observers)
            for study in (self, other)
        )
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # its document is a mapping

    def __repr__(self) -> str:
        return f"Study.from_dict({self.to_dict()!r})"

    @classmethod
    def _of(cls, source: Source, path: Path) -> Self:
        study = cls.__new__(cls)
        study._source, study._path, study._observers = source, path, ()
        return study

    def _component(self, key: str, name: str, options: Mapping[str, Any]) -> Study:
        return self._with(key, {"name": name, **options})

    def _with(self, key: str, value: Any) -> Study:
        changed = self._of(
            yaml_source.apply_override(self._source, override(key, value)), self._path
        )
        changed._observers = self._observers
        return changed
