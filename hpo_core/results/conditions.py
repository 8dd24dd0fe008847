"""Conditions on trials: `val_accuracy > .9 and (optimizer.lr < 0.1 or model in ('resnet18', 'resnet34'))`.

The grammar is MLflow's search syntax with `or` and brackets: a name, one of `= == != < <= > >= in like`, a literal. It
is parsed into values and compared in Python; nothing is evaluated, and nothing of it becomes SQL.

    condition   := every { "or" every }
    every       := single { "and" single }
    single      := "(" condition ")" | name operator literal | name [ "not" ] "in" "(" literal { "," literal } ")"
    literal     := number | 'text' | "text" | true | false

As in SQL, nothing that is missing fulfils a comparison. `like` takes `%` for any characters and `_` for one.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hpo_core.errors import UsageError
from hpo_core.results.names import Key, Names
from hpo_core.results.trials import ResultTrial

Test = Callable[[ResultTrial], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<text>'[^']*'|"[^"]*")|`(?P<quoted>[^`]+)`|(?P<name>[A-Za-z_][\w./-]*)
    |(?P<sign>==|!=|<=|>=|[=<>(),]))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: int


def parse(text: str, trials: Iterable[ResultTrial]) -> Test:
    """What a condition says, as a test of a trial; `trials` are all that there are, whose names it may use.

    Raises UsageError with the place of what is wrong.
    """
    return _Parser(text, list(trials)).whole()


def comparison(key: Key, sign: str, literal: Any) -> Test:
    """One comparison; never true of what is missing or of another type."""
    if sign in ("=", "=="):
        return lambda trial: _same(key.of(trial), literal)
    if sign == "!=":
        return lambda trial: key.of(trial) is not None and not _same(key.of(trial), literal)
    if sign == "like":
        pattern = _pattern(str(literal))
        return lambda trial: (
            isinstance(key.of(trial), str) and bool(pattern.fullmatch(key.of(trial)))
        )
    order = _ORDER[sign]
    return lambda trial: _comparable(key.of(trial), literal) and order(key.of(trial), literal)


def _same(value: Any, literal: Any) -> bool:
    return isinstance(value, bool) == isinstance(literal, bool) and value == literal


def _comparable(value: Any, literal: Any) -> bool:
    if isinstance(value, bool) or isinstance(literal, bool) or value is None:
        return False
    return isinstance(value, str) == isinstance(literal, str)


def _pattern(like: str) -> re.Pattern[str]:
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in like)
    return re.compile("".join(parts), re.DOTALL)


class _Parser:
    def __init__(self, text: str, trials: list[ResultTrial]) -> None:
        self._text = text
        self._trials = trials
        self._names = Names(trials)
        self._tokens = self._cut()
        self._next = 0

    def whole(self) -> Test:
        test = self._condition()
        if self._peek().kind != "end":
            raise self._wrong("and, or, or the end")
        return test

    def _cut(self) -> list[_Token]:
        tokens, place = [], 0
        end = len(self._text.rstrip())
        while place < end:
            found = _TOKEN.match(self._text, place)
            if found is None:
                start = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                raise UsageError(
                    f"condition, column {start + 1}: cannot read {self._text[start : start + 20]!r}"
                )
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            place = found.end()
        return [*tokens, _Token("end", "", end)]

    def _condition(self) -> Test:
        tests = [self._every()]
        while self._word("or"):
            tests.append(self._every())
        return lambda trial: any(test(trial) for test in tests)

    def _every(self) -> Test:
        tests = [self._single()]
        while self._word("and"):
            tests.append(self._single())
        return lambda trial: all(test(trial) for test in tests)

    def _single(self) -> Test:
        if self._sign("("):
            inner = self._condition()
            self._expect(")")
            return inner
        token = self._peek()
        if token.kind not in ("name", "quoted"):
            raise self._wrong("a name")
        self._next += 1
        key = self._names.key(token.text)
        if self._word("not"):
            if not self._word("in"):
                raise self._wrong("in")
            chosen = self._among(key)
            return lambda trial: key.of(trial) is not None and not chosen(trial)
        if self._word("in"):
            return self._among(key)
        return self._compared(key, token)

    def _compared(self, key: Key, name: _Token) -> Test:
        token = self._peek()
        sign = "like" if self._word("like") else token.text
        if sign != "like":
            if token.kind != "sign" or sign in "(),":
                raise self._wrong("one of = != < <= > >= in like")
            self._next += 1
        literal = self._literal()
        if sign in _ORDER or sign == "like":
            self._check_type(key, name, literal)
        return comparison(key, sign, literal)

    def _check_type(self, key: Key, name: _Token, literal: Any) -> None:
        """An order between a text and numbers alone is a mistake, not a condition that nothing fulfils."""
        values = [value for trial in self._trials if (value := key.of(trial)) is not None]
        if values and not any(_comparable(value, literal) for value in values):
            raise UsageError(
                f"condition, column {name.place + 1}: {name.text} is {values[0]!r}, say: it cannot be compared "
                f"with {literal!r}"
            )

    def _among(self, key: Key) -> Test:
        self._expect("(")
        tests = [comparison(key, "=", self._literal())]
        while self._sign(","):
            tests.append(comparison(key, "=", self._literal()))
        self._expect(")")
        return lambda trial: any(test(trial) for test in tests)

    def _literal(self) -> Any:
        token = self._peek()
        if token.kind == "number":
            number = float(token.text)
            value: Any = int(number) if re.fullmatch(r"[-+]?\d+", token.text) else number
        elif token.kind == "text":
            value = token.text[1:-1]
        elif token.text.lower() in ("true", "false"):
            value = token.text.lower() == "true"
        else:
            raise self._wrong("a number, a text in quotes, true or false")
        self._next += 1
        return value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _word(self, word: str) -> bool:
        found = self._peek().kind == "name" and self._peek().text.lower() == word
        self._next += found
        return found

    def _sign(self, sign: str) -> bool:
        found = self._peek().kind == "sign" and self._peek().text == sign
        self._next += found
        return found

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._wrong(f"'{sign}'")

    def _wrong(self, wanted: str) -> UsageError:
        token = self._peek()
        found = f"'{token.text}'" if token.text else "the end"
        return UsageError(f"condition, column {token.place + 1}: expected {wanted}, found {found}")
