"""Runs one attempt at a trial: what every executor does in its worker, wherever that is.

The executor supplies a way to send a report and get a decision back; the rest (finding the objective, the checkpoint to
continue from, seeds, catching whatever the objective raises, refusing to go on after a stop) happens here, once.
"""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo_core import checkpoints, options, references
from hpo_core.addresses import UnavailableError
from hpo_core.catalog import Catalog
from hpo_core.contracts import Restored, TrialStopped
from hpo_core.errors import disk_is_full
from hpo_core.scheduling import Decision, Verdict
from hpo_core.trial import Checkpoint, ClassReport, Ending, Outcome, Report, Trial

Send = Callable[[Report], Decision]

LAST_STEP = 2**31 - 1
LONGEST_NAME = 256
"""The highest step and the longest name of a metric that a database stores."""

_NO_MEMORY = (
    "can't allocate memory",  # torch's allocator on the CPU
    "CUDA error: out of memory",  # the driver's: there is no room for a context, or for a kernel's code
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What errors of no special class say of memory."""

_RUST_DISK_FULL = f"(os error {errno.ENOSPC})"
"""What errors of libraries in Rust, such as safetensors', which are no OSErrors, say of a full disk."""

_UNPAIRED = re.compile("[\ud800-\udfff]")


class LiveRun:
    """A trial while it runs: implements `hpo_core.Run` over an executor's way to send.

    Raises UnavailableError when the store of its checkpoints does not answer. `close` removes what was copied from
    there.
    """

    def __init__(self, trial: Trial, send: Send) -> None:
        self.trial = trial
        self.decision: Decision | None = None
        self._warnings: list[str] = []
        # where they lie, even if the objective goes to another directory
        self._folder = Path(trial.directory, "checkpoints").absolute()
        self._fetched = contextlib.ExitStack()
        self.restored = self._restore()
        self._send = send
        self._saved: Checkpoint | None = None
        self._step = 0 if self.restored is None else self.restored.step
        self._last = time.monotonic()

    def checkpoint(self, step: int) -> AbstractContextManager[Path]:
        """See `hpo_core.contracts.Run.checkpoint`."""
        step = operator.index(step)
        if step <= self._step:
            raise ValueError(
                f"a checkpoint is saved before its step is reported: {step} came after {self._step}"
            )
        address = self.trial.saves_to
        if address is None:
            return checkpoints.saving(self._folder, step, self._keep)
        return checkpoints.saving_at(address, step, self._folder, self._keep)

    def report(
        self, step: int, metrics: dict[str, float], classes: ClassReport | None = None
    ) -> Decision:
        """See `hpo_core.contracts.Run.report`."""
        if self.stopped:
            raise TrialStopped
        step = operator.index(step)  # numpy's integers are no JSON
        if step <= self._step:
            raise ValueError(f"steps must grow: {step} was reported after {self._step}")
        if step > LAST_STEP:
            raise ValueError(f"steps count epochs, up to {LAST_STEP}: got {step}")
        if self.trial.metric not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise ValueError(
                f"the study's metric '{self.trial.metric}' was not reported (got: {known})"
            )
        now = time.monotonic()
        numbers = {_named(name): float(value) for name, value in metrics.items()}
        saved = self._saved if self._saved is not None and self._saved.step == step else None
        warnings, self._warnings = tuple(self._warnings), []
        said = Report(step, numbers, now - self._last, saved, warnings, classes)
        self.decision = self._send(said)
        self._step, self._last = step, time.monotonic()
        return self.decision

    @property
    def stopped(self) -> bool:
        """Whether the trial was told to stop, for good or for now."""
        return self.decision is not None and self.decision.stop

    @property
    def next_step(self) -> int:
        """The step that a value returned by the objective stands for."""
        return self._step + 1

    def _keep(self, checkpoint: Checkpoint) -> None:
        folder = self.trial.saves_to or Path(self.trial.directory, "checkpoints")
        self._saved = replace(checkpoint, path=f"{folder}/{Path(checkpoint.path).name}")

    def close(self) -> None:
        """The attempt has ended: what it continued from is not read any more."""
        self._fetched.close()

    def _restore(self) -> Restored | None:
        """The newest checkpoint that is as it was saved."""
        for checkpoint in self.trial.checkpoints:
            try:
                fetched = checkpoints.fetched(checkpoint, self._folder)
                path = self._fetched.enter_context(fetched)
                return Restored(checkpoint.step, path.absolute())
            except checkpoints.DamagedError as error:
                self._warnings.append(
                    f"the checkpoint after epoch {checkpoint.step} is damaged: {error}"
                )
        return None


def execute(trial: Trial, catalog: Catalog, send: Send) -> Outcome:
    """Run the objective of a trial to its end; whatever an objective raises becomes an outcome.

    Only KeyboardInterrupt and SystemExit pass through.
    """
    try:
        run = LiveRun(trial, send)
    except OSError as error:
        return _outcome(trial, error)
    with contextlib.closing(run):
        return _execute(run, catalog)


def _execute(run: LiveRun, catalog: Catalog) -> Outcome:
    trial = run.trial
    try:
        entry = catalog.entry("objectives", trial.objective)
        with _staying():
            result = entry.factory(run, **options.keywords(catalog, entry, trial.config))
        _report_result(run, result)
    except TrialStopped:
        pass
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # an objective may raise anything, and the study goes on
        return _outcome(trial, error)
    if run.decision is not None and run.stopped:
        paused = run.decision.verdict is Verdict.PAUSE
        return Outcome(Ending.PAUSED if paused else Ending.STOPPED, run.decision.reason)
    if run.decision is None and run.restored is None:
        return Outcome(
            Ending.FAILED, f"the objective reported no '{trial.metric}' and returned nothing"
        )
    return Outcome(Ending.COMPLETED)


def _named(name: object) -> str:
    """A metric's name, if a database takes it. Raises ValueError."""
    text = str(name)
    if len(text) > LONGEST_NAME or "\0" in text or (not text.isascii() and _UNPAIRED.search(text)):
        raise ValueError(
            f"a metric's name has at most {LONGEST_NAME} characters that can be encoded: got {text[:80]!a}"
        )
    return text


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Return to the working directory: the paths of the study and of the trials to come may be relative to it."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)


def _outcome(trial: Trial, error: BaseException) -> Outcome:
    """What an exception says of its trial.

    An attempt that ran out of memory is lost, for it may have been its neighbours' fault; a full disk, or a store of
    checkpoints that does not answer, is nothing that a trial could be blamed for, and would meet every other one as
    well; anything else would happen again.
    """
    said = " ".join(references.conceal(str(error)).split())
    trace = references.conceal(traceback.format_exc())
    if isinstance(error, UnavailableError):
        return Outcome(Ending.INTERRUPTED, said, trace)
    if disk_is_full(error) or _RUST_DISK_FULL in said:
        where = references.conceal(str(getattr(error, "filename", None) or trial.directory))
        return Outcome(Ending.INTERRUPTED, f"no space left on the disk of {where}", trace)
    reason = f"{type(error).__name__}: {said}"[:500].rstrip(": ")
    if _out_of_memory(error):
        return Outcome(Ending.LOST, f"out of memory: {reason}", trace, out_of_memory=True)
    return Outcome(Ending.FAILED, reason, trace)


def _out_of_memory(error: BaseException) -> bool:
    """Python's, CUDA's (`torch.OutOfMemoryError`, which the core cannot import), or one that only its text tells.

    An error that was raised from one of these counts as well.
    """
    return any(map(_says_no_memory, _causes(error)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on; each once, for one may have been raised from itself."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _says_no_memory(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(
        map(str(error).__contains__, _NO_MEMORY)
    )


def _report_result(run: LiveRun, result: Any) -> None:
    """What an objective returns, a number or metrics by name, is a last report."""
    if result is None or run.stopped:
        return
    metrics = dict(result) if isinstance(result, Mapping) else {run.trial.metric: result}
    run.report(run.next_step, metrics)
