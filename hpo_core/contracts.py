"""What the parts of a study promise each other. Plugins never import each other: they meet here.

The objects behind these protocols are torch's, but nothing here imports torch: types that only torch could name are
`Any`, and the docstring says what they are.

==================  ===================================================================================
kind                a factory is called with (positional), and returns
==================  ===================================================================================
objectives          `(run: Run)` -> None, a number, or metrics by name: it *is* the objective
models              `(shape: InputShape)` -> `torch.nn.Module` of `shape.classes` outputs
datasets            `(seed: int)` -> `Dataset`
augmentations       `(shape: InputShape)` -> a callable `(images, labels) -> (images, targets)`; see below
optimizers          `(params)`, an iterable of parameters or of groups -> `torch.optim.Optimizer`
losses              `(labels: Labels)` -> `torch.nn.Module`, see below
lr_schedulers       `(optimizer, total: int)` -> `torch.optim.lr_scheduler.LRScheduler`; see below
samplers            `(context: hpo_core.sampling.SamplerContext)` -> `optuna.samplers.BaseSampler`
trial_schedulers    `(context: hpo_core.scheduling.SchedulerContext)` -> `hpo_core.scheduling.TrialScheduler`
executors           `()` -> `Executor`
trackers            `(study: StudyInfo)` -> `Tracker`
==================  ===================================================================================

An augmentation is called with each batch of the training part, once, where the model is: float images (N, C, H, W) as
the dataset gives them (-1..1) and labels (N,). It returns as many images, of the same shape or another size, and
targets: the labels, or probabilities (N, classes) where it mixes images. Its randomness is torch's global generators,
which the objective seeds at each epoch. Its factory's attribute `operations`, called with the options, names what it
does to an image (`hpo_core.contracts.Operation`); a dataset's factory has an attribute `changed_by`, called with its
options, which maps those operations that change its labels to the reason ("a mirrored 2 is no digit"). Where both
meet, the study is refused.

A dataset's factory that reads files may have an attribute `location`, called with its options, references resolved,
which returns the folder or the URL below which they lie, or None. Trials are then recorded with the version of these
files, where they were registered (`hpo data register`).

An optimizer's `step` is given a closure that computes loss and gradients anew, and may call it several times. One
that cannot do without has the attribute `needs_closure`: there is none where gradients are scaled (16 bits).

A loss is called with logits (N, C) and targets, labels (N,) or probabilities (N, C), and returns a scalar: the mean of
a term per image, so that the parts of a batch add up to it. Only in training mode may it change its buffers, which are
kept in checkpoints. Where it has a method `set_epoch(epoch)`, that is called before each epoch (from 0), and where it
has `after_step()`, that is called after each optimizer step.

Any factory may carry an attribute `profile`: values by the dotted path of the objective's options, with which a study
that may take the component begins (see `hpo_core.profiles`). A sampler that tries each point of a space once, as a grid
does, has an attribute `exhaustive` that is true: nothing is enqueued before it.

The keyword-only parameters of a factory are its options in a study file (see `hpo_core.options`).

An objective's factory may carry an attribute `check`, which says which of its options do not go together. It is called
as `check(tree, trait)` when a study file is checked and each option by itself is fine. `tree` is the objective as it
will be stored: every option, components as mappings with `name`, distributions as the file writes them
(`{"choice": [...]}`). `trait(kind, name, attribute)` gives an attribute of the factory of a component, or None, without
building it. It yields pairs of a path inside the objective, `("augmentations", 0)`, and a message; each becomes a
problem of the file at that place, or at the nearest one that the file writes out.

An objective whose options name files may carry an attribute `check_files`, called after `check` and in the same manner,
as `check_files(tree, folders)`. `folders` are `pathlib.Path`s, the first of which that has a file is meant: that of the
study file, then the working directory; none where another machine runs the study. It reads files and never runs one.

An objective's factory may carry an attribute `metric`, the name and the goal of what is usually optimized:
`("val_accuracy", "maximize")`. `hpo extract` writes studies with it.

An objective's factory may carry an attribute `evaluate`, which measures a model on the part `test`. It is called once,
when the model becomes a version, in a process of its own, as `evaluate(folder, config, seed, code_path)`, and returns a
`hpo_core.Evaluation`; whatever it raises is recorded with the version instead. `folder` is a `pathlib.Path` and holds
`model.safetensors` and the files that belong to it. `config` are the objective's options as they are stored, components
as mappings with `name` (`hpo_core.commands.read_component` builds them), with references resolved. `seed` is the
trial's. `code_path` are the folders that user code may be imported from, None: no user code may run. Where the
attribute has itself an attribute `needs`, the name of an option, it is not called unless that option is set. An option
of a model called `weights` says what its training starts from, and null instead must be allowed: what is measured has
its weights in the folder.

An objective's factory may carry attributes `predict` and `export`, which use a model that one of its trials became.
`predict(registry, reference, paths, **options)` labels images: it gives a row, a mapping of JSON types, for each file
that the texts `paths` name, also for one that it cannot read. `export(registry, reference, to, **options)` writes the
model to a new folder, whole or not at all, and gives what is said of it. Both have a `hpo_core.commands.Registry`
compare the model's files with their sha256 before they read one, and say in their signatures which options there are.

An objective's factory that imports code which the study names has an attribute `runs_code` that is true: without
`--allow-code` the study is refused before its first trial.

An objective's factory may carry an attribute `preload`, a tuple of the names of modules that are slow to import
(`train.preload = ("lightning.pytorch", "torchvision")`). An executor with worker processes imports them once and forks
its workers from there; so importing them must start no thread and not initialise CUDA.

An LR scheduler is stepped after every optimizer step, `total` times in the whole run. Where its factory carries an
attribute `interval` with the value "epoch", it is stepped after every validation instead, and `total` is the number of
epochs; a `torch.optim.lr_scheduler.ReduceLROnPlateau` is then given the validation loss. An LR scheduler with an
attribute `average_from`, a number of optimizer steps, asks for stochastic weight averaging: the mean of the weights
after each step from that one on is what is validated and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from hpo_core.scheduling import Decision
from hpo_core.trial import ClassReport, Goal, Outcome, Report, Trial

Part = Literal["train", "val", "test"]

Operation = Literal["flip", "rotate", "shear", "crop", "erase", "recolor", "invert", "blur", "mix"]
"""What augmentations do to images: `crop` includes moving and zooming, `recolor` changes of hue, contrast, brightness,
sharpness and depth, `invert` also solarizing, `mix` puts images of two classes into one."""


class TrialStopped(BaseException):
    """Raised by `Run.report` when an objective reports again after it was told to stop.

    A BaseException, so that an objective's own `except Exception` does not swallow it.
    """


class Run(Protocol):
    """A trial while it runs, as its objective sees it. Lives in the worker."""

    @property
    def trial(self) -> Trial:
        """Number, seed, parameters, directory: everything about the trial."""
        ...

    @property
    def restored(self) -> Restored | None:
        """What to continue from, checked by its sha256, or None: begin with the first epoch."""
        ...

    def checkpoint(self, step: int) -> AbstractContextManager[Path]:
        """A new folder for the state after `step` epochs, to be filled within the context, before `report(step)`.

        ::

            with run.checkpoint(epoch) as folder:
                save_file(weights, folder / "model.safetensors")

        When the context ends the files are hashed and synced and the folder gets its final name, or is sent to the
        study's store: it is there whole or not at all. `model.safetensors` is what is registered as a model version.
        Raises ValueError when the step was reported already or a file is called `manifest.json`, which is hpo's own,
        and OSError, say when the disk is full or the store is away: let it pass, the study is then paused.
        """
        ...

    def report(
        self, step: int, metrics: dict[str, float], classes: ClassReport | None = None
    ) -> Decision:
        """Say how the trial does after `step` epochs (from 1); the objective returns soon if `.stop` is True.

        `classes` says how it does on each class, for people and queries: nothing is decided by it. The last
        checkpoint, if it is of this step, goes with the report. Waits for the driver's answer. Raises TrialStopped
        when called again after a decision to stop, ValueError when the study's metric is missing, steps do not grow,
        or a database cannot hold a name.
        """
        ...


@dataclass(frozen=True)
class Restored:
    """A checkpoint to continue from: the trial's own, or its parent's for a clone. `step` epochs are done."""

    step: int
    path: Path


@dataclass(frozen=True)
class InputShape:
    """What a model must take and give: images of (channels, height, width) in, `classes` logits out."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class Labels:
    """What a loss may know before the training: `classes`, and how many epochs there will be.

    `count` gives the number of images of each class, in the training part and in no other. A loss that needs it calls
    it; the objective may have to read the whole part for it.
    """

    classes: int
    epochs: int
    count: Callable[[], Sequence[int]]


class Batches(Protocol):
    """One part of a dataset, in batches of (images, labels).

    Images are float tensors (N, C, H, W), labels int64 tensors (N,), both on the CPU. Iterating a training part again
    gives another order, derived from the seed and the number of the iteration.
    """

    def __iter__(self) -> Iterator[tuple[Any, Any]]: ...

    def __len__(self) -> int:
        """The number of batches in one iteration."""
        ...

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of `epoch` (from 0), whatever was iterated before: a trial that continues asks."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Labelled images, split into parts by a seed. The part `test` is never asked for by a trial."""

    @property
    def shape(self) -> InputShape: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the order of the labels."""
        ...

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Sets of classes by name, such as `vehicles`, which may overlap; none: empty."""
        ...

    def batches(self, part: Part) -> Batches: ...


@dataclass(frozen=True)
class StudyInfo:
    """What a tracker is told about a study when it starts. `directory` is the study's own, and exists."""

    name: str
    metric: str
    goal: Goal
    target: int | None
    directory: Path


@runtime_checkable
class Tracker(Protocol):
    """Observes a study. Called in one thread of its own, after what it is told has been stored.

    A tracker never delays a study: one that raises, or that takes longer than its timeout over a call, is switched
    off with a warning and the study goes on.
    """

    def on_start(self, trial: Trial) -> None:
        """An attempt at a trial has begun."""
        ...

    def on_report(self, trial: Trial, report: Report) -> None:
        """A trial has reported; the metrics may be NaN or infinite."""
        ...

    def on_finish(self, trial: Trial, state: str, value: float | None, reason: str) -> None:
        """A trial has ended for good. `state` is `complete`, `pruned` or `fail`, `value` its best metric."""
        ...

    def close(self) -> None:
        """The study has ended or was stopped; nothing is called after this."""
        ...


class Driven(Protocol):
    """A study as its executor sees it. Not thread-safe: an executor calls it from one thread."""

    def ask(self) -> Trial | None:
        """The next trial to run, new or to be continued, or None while there is nothing to start.

        After None it is worth asking again when a trial has reported or finished.
        """
        ...

    def report(self, trial: Trial, report: Report) -> Decision:
        """Record a report; what is to become of the trial. One from a lost attempt is dropped, and told to stop."""
        ...

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Record that the attempt has ended. Must be called once for every trial that `ask` gave."""
        ...

    def commit(self) -> None:
        """Make all that was said durable, and tell observers. Call it before waiting for anything."""
        ...


class Interrupt(Protocol):
    """Whether the user wants the study to stop. The study itself answers `ask` and `report` accordingly."""

    @property
    def now(self) -> bool:
        """True: kill what runs and return at once (second Ctrl-C, or the grace period is over)."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Where trials run. A small driver around a study.

    It may have an attribute `threads`, the number that a trial computes with, which is recorded with the study.
    """

    def run(self, study: Driven, interrupt: Interrupt) -> None:
        """Ask for trials and run them until `ask` gives None and nothing runs any more.

        Returns early when `interrupt.now`. Leaves no process behind, however it ends. Trials that were asked for and
        not finished when it returns are put back by the caller.
        """
        ...
