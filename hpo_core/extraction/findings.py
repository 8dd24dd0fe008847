"""What was found for each value of a study, where, and what was passed over for it.

A candidate counts if its context does not take it back ("not VGG16") and the plugin that would get it takes it: a name
that is offered and needs no further option, a number within its option's bounds. A learning rate outside the range that
is asked for is moved to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hpo_core.catalog import Catalog, noun
from hpo_core.checking import Checker
from hpo_core.errors import HpoError
from hpo_core.extraction.candidates import Candidate, names
from hpo_core.extraction.numbers import numbers
from hpo_core.extraction.sources import Parts
from hpo_core.extraction.vocabulary import Vocabulary
from hpo_core.options import Option

MOST_CHARACTERS = 100_000
LOOKED_AT = 1000  # candidates for one value
SHOWN = 5  # of what was passed over for one value


class ExtractionError(HpoError):
    """A text from which no study can be made; it says what is missing or wrong in it."""

    exit_code = 3


@dataclass(frozen=True)
class PassedOver:
    """Something else that the text may have meant, and why it was not taken."""

    written: str
    line: int
    source: str
    why: str


@dataclass(frozen=True)
class Finding:
    """A value. `line` is 0 where none was found and a default was taken; `how` says which rule found it."""

    value: Any
    written: str = ""
    line: int = 0
    source: str = "default"
    how: str = ""
    passed_over: list[PassedOver] = field(default_factory=list)

    def otherwise(self, default: Any) -> Finding:
        """This, with a default where nothing was found."""
        return self if self.line else replace(self, value=default)


class Finder:
    """Looks for values in one text. Raises ExtractionError for one that is too long."""

    def __init__(self, text: str, catalog: Catalog) -> None:
        if len(text) > MOST_CHARACTERS:
            raise ExtractionError(
                f"the text has {len(text):,} characters: {MOST_CHARACTERS:,} are read at most"
            )
        self._text, self._catalog, self._parts = text, catalog, Parts(text)

    def component(self, name: str, kind: str) -> Finding:
        """A component for the option `name`; without a line where the text names none.

        Raises ExtractionError where it plainly names one that cannot be taken.
        """
        known = Vocabulary(self._catalog, kind)
        candidates = names(name, self._text, self._parts, known)
        found = self._first(candidates, lambda each: self._usable(kind, each.meant))
        if found.how == "marked ACTIVE":
            return found
        marked = [each for each in candidates if each.how == "marked ACTIVE"]
        meant = [each for each in candidates if not each.doubted and not each.aside]
        plain = marked or ([] if found.line else meant)
        if plain:
            raise ExtractionError(self._refusal(kind, plain[0], known))
        return found

    def number(self, name: str, convert: Callable[[str], Any]) -> Finding:
        """A number; without a line where the text has none.

        `convert` gives its value, or raises ValueError that says why it cannot be one.
        """
        candidates = numbers(name, self._text, self._parts)

        def usable(candidate: Candidate) -> tuple[Any, str | None]:
            try:
                return convert(candidate.written), None
            except ValueError as error:
                return None, str(error)

        return self._first(candidates, usable)

    def _first(
        self, candidates: list[Candidate], usable: Callable[[Candidate], tuple[Any, str | None]]
    ) -> Finding:
        """The first that can be used; what else was meant, if it is anything else, is passed over."""
        winner: tuple[Candidate, Any] | None = None
        passed: list[PassedOver] = []
        for candidate in candidates[:LOOKED_AT]:
            value, why = (None, candidate.aside) if candidate.aside else usable(candidate)
            if why is None and winner is None:
                winner = candidate, value
                continue
            if why is None and winner is not None:
                if value == winner[1]:
                    continue
                why = _why(candidate, winner[0])
            if not (candidate.doubted and candidate.meant is None) and len(passed) < SHOWN:
                said = PassedOver(
                    candidate.written, self._line(candidate), candidate.source, str(why)
                )
                passed.append(said)
        if winner is None:
            return Finding(None, passed_over=passed)
        best, value = winner
        return Finding(value, best.written, self._line(best), best.source, best.how, passed)

    def _usable(self, kind: str, name: str | None) -> tuple[Any, str | None]:
        if name is None:
            return None, f"no {noun(kind)} is called that"
        checker = Checker(self._catalog)
        checker.component(kind, {"name": name}, (), searchable=False)
        return name, checker.problems[0][1].message if checker.problems else None

    def _refusal(self, kind: str, candidate: Candidate, known: Vocabulary) -> str:
        _, why = self._usable(kind, candidate.meant)
        place = f"line {self._line(candidate)} ({candidate.how})"
        if candidate.meant is not None:
            return f"{place}: {why}"
        hint = known.nearest(candidate.written)
        guess = f" - did you mean '{hint}'?" if hint else f": hpo list {kind}"
        return f"{place}: there is no {noun(kind)} '{candidate.written}'{guess}"

    def _line(self, candidate: Candidate) -> int:
        return self._text.count("\n", 0, candidate.position) + 1


def _why(candidate: Candidate, winner: Candidate) -> str:
    """Why the winner came first."""
    if candidate.source != winner.source and candidate.how.split()[0] == winner.how.split()[0]:
        return f"'{winner.source}' comes before '{candidate.source}'"
    if candidate.how != winner.how:
        return f"what is {winner.how} comes first"
    return "it comes later"


def whole(option: Option) -> Callable[[str], int]:
    """Turns what is written into a whole number that an option takes."""

    def convert(written: str) -> int:
        number = float(written)
        if not number.is_integer():
            raise ValueError("it is no whole number")
        return int(_taken(option, int(number)))

    return convert


def rate(option: Option, low: float, high: float) -> Callable[[str], float]:
    """Turns what is written into a learning rate between `low` and `high` that an option takes."""

    def convert(written: str) -> float:
        number = float(written)
        if number <= 0 or number == float("inf"):
            raise ValueError("it is no learning rate")
        return float(_taken(option, min(max(number, low), high)))

    return convert


def _taken(option: Option, value: Any) -> Any:
    """A value that the option takes. Raises ValueError with what is wrong."""
    checker = Checker(Catalog())
    checker.option(option, value, (), searchable=False)
    if checker.problems:
        raise ValueError(checker.problems[0][1].message)
    return value
