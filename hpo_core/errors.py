"""Everything that may go wrong, as one tree; each class carries the exit code that the command line ends with.

::

    HpoError                    1  a mistake of ours
    ├── UsageError              2  the command line does not make sense: say it again
    ├── StudyFileError          3  the study file is wrong: mend the lines named and run again
    ├── PluginError             4  a plugin is missing, broken or named twice: install or remove the one named
    ├── StorageError            5  the database cannot be reached or has another schema
    │   ├── OutageError         5  it does not answer now, and may again: wait
    │   ├── StoreError          5  checkpoints or models cannot be written or read where they lie: mend that
    │   └── DiskFullError       5  there is no room left on a disk: make some
    ├── NoSuccessError          6  the study ended and no trial succeeded: read the reasons
    ├── StudyHeldError          7  another driver runs this study: wait, or stop that one
    │   └── LeaseLostError      7  another driver has taken this study over while this one could not be heard of
    ├── ExecutorError           8  there is nowhere to run trials: no worker starts, the cluster is gone
    └── GateError               9  a model version does not meet its study's success_criteria: leave it where it is

A user's mistake is always one of these, and the command line prints its text without a traceback. Whatever else is
raised is a bug, and ends with exit code 1 and a traceback.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""Where a line of a study file ends: as the YAML parser counts them, which `str.splitlines` does not."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*:)(?!\$\{)([^/@\s]+)(?=@)")
"""The user and the password of a URL, unless that is a reference."""


class HpoError(Exception):
    """The root; `exit_code` is what the process ends with when nobody catches it."""

    exit_code = 1


class UsageError(HpoError):
    """The command line is wrong in a way that the parser cannot see (an unknown study, say)."""

    exit_code = 2


class PluginError(HpoError):
    """A plugin that the study needs is missing, fails to import, or clashes with another one."""

    exit_code = 4


class StorageError(HpoError):
    """The database cannot be reached, is locked, or was written by another version."""

    exit_code = 5


class OutageError(StorageError):
    """The database is away or locked at this moment; what was asked of it may be asked again."""


class StoreError(StorageError):
    """Checkpoints or models cannot be written or read where they are to lie; the text says what of it."""


class DiskFullError(StorageError):
    """A disk has no room left; the text says which, as far as is known."""


def disk_is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether an error says that a disk, or somebody's share of it, has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class NoSuccessError(HpoError):
    """The study is over and not one trial ended well."""

    exit_code = 6


class StudyHeldError(HpoError):
    """Another driver holds the study; the text says who, and since when."""

    exit_code = 7


class LeaseLostError(StudyHeldError):
    """Another driver has taken over the study that this one was running: nothing of it may be written any more."""


class ExecutorError(HpoError):
    """Trials cannot be run where they are to run: no worker starts, or the cluster cannot be reached."""

    exit_code = 8


class GateError(HpoError):
    """A model version may not have a stage, because it was not shown to meet the criteria of its study."""

    exit_code = 9


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study file.

    `line` and `column` count from 1; 0 means that no place in the file is to blame. `path` is dotted, with indices of
    lists as numbers: `objective.optimizer.lr.float.0`. `override` is the `key=value` of the command line that is to
    blame instead of the file: line and column then count in it.
    """

    path: str
    message: str
    line: int = 0
    column: int = 0
    suggestion: str | None = None
    plugin: bool = False  # True: the file may be right, an installed plugin is to blame
    override: str | None = None


class StudyFileError(HpoError):
    """A study file with problems, all of them at once. Raised by `hpo_core.spec` before anything starts."""

    exit_code = 3

    def __init__(self, source: str, problems: Iterable[Problem], text: str = "") -> None:
        self.source = source
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        self.text = text
        if self.problems and all(problem.plugin for problem in self.problems):
            self.exit_code = PluginError.exit_code
        super().__init__("\n".join(self._lines()))

    def _lines(self) -> Iterable[str]:
        for problem in self.problems:
            hint = f" - did you mean '{problem.suggestion}'?" if problem.suggestion else ""
            path = f"{problem.path}: " if problem.path else ""
            source = self.source if problem.override is None else "override"
            place = f"{source}:{problem.line or 1}:{problem.column or 1}"
            yield _printable(f"{place}: {path}{problem.message}{hint}")
            text = self.text if problem.override is None else problem.override
            yield from _excerpt(LINE_BREAK.split(text) if text else [], problem)


def _excerpt(lines: list[str], problem: Problem) -> Iterable[str]:
    """The line to blame with a caret under the column."""
    if not 0 < problem.line <= len(lines):
        return
    start = max(0, problem.column - 150)  # a long line is shown around its problem
    line = _PASSWORD.sub(lambda found: found[1] + "*" * len(found[2]), lines[problem.line - 1])
    yield f"    {_printable(line[start : start + 200])}"
    yield "    " + " " * (problem.column - 1 - start) + "^"


def _printable(text: str) -> str:
    """`text` without what would move a terminal's cursor or could not be encoded."""
    return _UNPRINTABLE.sub(lambda match: " " if match.group() == "\t" else "\ufffd", text)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word of `words` that `word` was probably meant to be, or None. Case and `-`/`_` do not matter."""
    known = {candidate.lower().replace("_", "-"): candidate for candidate in words}
    matches = difflib.get_close_matches(word.lower().replace("_", "-"), known, n=1, cutoff=0.6)
    return known[matches[0]] if matches else None
