"""Search spaces: distributions standing where values could stand, in a tree of options.

A distribution is written in place of a value::

    lr: {float: [1.0e-4, 1.0], log: true}
    epochs: {int: [3, 9], step: 3}
    lr_scheduler: {choice: [cosine, {name: step, gamma: {float: [0.1, 0.9]}}]}

A choice may hold components that have options of their own, so the space is a tree and conditional without further
syntax: `lr_scheduler.step.gamma` exists only in trials that chose `step`. A parameter's name is its dotted path, with
the chosen alternative's label wherever the path goes through a choice.

These are plain values: turning them into Optuna's distributions is `hpo_core.sampling`'s business, because reading a
study file must not import Optuna.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

Scalar = str | int | float | bool | None

DISTRIBUTIONS = ("float", "int", "choice")


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log` searches its logarithm, `step` makes it a grid from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], by `step` from `low` to `high`; `log` searches its logarithm."""

    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True)
class Choice:
    """One of several alternatives, each a tree that may hold distributions. Labels are unique."""

    alternatives: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """What a sampler chooses among: scalars themselves, components by name, other things as JSON text."""
        return tuple(label(alternative) for alternative in self.alternatives)

    def alternative(self, chosen: Scalar) -> Any:
        """The tree behind a label. Raises KeyError when there is none."""
        for alternative in self.alternatives:
            if label(alternative) == chosen:
                return alternative
        raise KeyError(chosen)


Distribution = Float | Int | Choice


def label(alternative: Any) -> Scalar:
    """The label of one alternative of a choice."""
    if isinstance(alternative, Mapping) and isinstance(alternative.get("name"), str):
        return str(alternative["name"])
    if alternative is None or isinstance(alternative, str | int | float | bool):
        return alternative
    return json.dumps(alternative, sort_keys=True)


def is_distribution(tree: Any) -> bool:
    """Whether a mapping of a study file is meant as a distribution: it has one of the keys float, int, choice."""
    return (
        isinstance(tree, Mapping)
        and "name" not in tree
        and any(key in tree for key in DISTRIBUTIONS)
    )


def parse(tree: Mapping[str, Any]) -> Distribution:
    """The distribution that a mapping for which `is_distribution` holds describes.

    Raises DistributionError, which names the key to blame.
    """
    kinds = [key for key in DISTRIBUTIONS if key in tree]
    if len(kinds) > 1:
        raise DistributionError((kinds[1],), f"a value cannot be both {kinds[0]} and {kinds[1]}")
    kind = kinds[0]
    body = tree[kind]
    if kind == "choice":
        return _parse_choice(tree, body)
    for key in tree:
        if key not in (kind, "log", "step"):
            raise DistributionError((key,), f"{kind} takes only log and step beside it")
    _check_bounds(kind, body)
    log = tree.get("log", False)
    if not isinstance(log, bool):
        raise DistributionError(("log",), f"log must be true or false, got {log!r}")
    low, high = body
    step = tree.get("step")
    _check_scale(kind, low, high, log, step)
    if kind == "int":
        whole = 1 if step is None else step
        return Int(low, high - (high - low) % whole, log, whole)
    return Float(*_grid_ends(low, high, step), log, None if step is None else float(step))


def _grid_ends(low: float, high: float, step: float | None) -> tuple[float, float]:
    """The range with the last value that `step` reaches as its end: Optuna would warn of another one."""
    if step is None:
        return float(low), float(high)
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    try:
        rest = (last - first) % width  # in decimals, 0.3 is three times 0.1
    except InvalidOperation:  # more than 10**28 values
        raise DistributionError(("step",), f"the step {step} is too fine for the range") from None
    return float(low), float(last - rest)


def written(distribution: Distribution) -> dict[str, Any]:
    """A distribution as a study file writes it: what `parse` reads."""
    if isinstance(distribution, Choice):
        return {"choice": list(distribution.alternatives)}
    kind, default_step = ("int", 1) if isinstance(distribution, Int) else ("float", None)
    tree: dict[str, Any] = {kind: [distribution.low, distribution.high]}
    if distribution.log:
        tree["log"] = True
    if distribution.step != default_step:
        tree["step"] = distribution.step
    return tree


def flow(tree: Any) -> str:
    """A tree of options on one line, as a study file may write it: `{float: [0.1, 0.6]}`."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in tree.items()) + "}"
    if isinstance(tree, list | tuple):
        return "[" + ", ".join(map(flow, tree)) + "]"
    return json.dumps(tree)


class DistributionError(ValueError):
    """A distribution that makes no sense; `path` leads from its mapping to the part to blame."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def _parse_choice(tree: Mapping[str, Any], body: Any) -> Choice:
    for key in tree:
        if key != "choice":
            raise DistributionError((key,), f"a choice has no {key}")
    if not isinstance(body, list) or not body:
        raise DistributionError(("choice",), "choice takes a list of at least one alternative")
    choice = Choice(tuple(body))
    seen: dict[Scalar, Scalar] = {}
    for index, chosen in enumerate(choice.labels):
        if chosen != chosen:
            raise DistributionError(("choice", index), "nan cannot be chosen: it equals nothing")
        if chosen in seen:
            # `1`, `1.0` and `True` are equal in Python, and Optuna would store any of them as the first
            same = (
                "is listed twice"
                if repr(chosen) == repr(seen[chosen])
                else f"equals {seen[chosen]!r}"
            )
            raise DistributionError(("choice", index), f"the alternative {chosen!r} {same}")
        seen[chosen] = chosen
    return choice


def _check_bounds(kind: str, body: Any) -> None:
    number = (int,) if kind == "int" else (int, float)
    if not isinstance(body, list) or len(body) != 2:
        raise DistributionError((kind,), f"{kind} takes two bounds: {{{kind}: [low, high]}}")
    for index, bound in enumerate(body):
        if isinstance(bound, bool) or not isinstance(bound, number) or not math.isfinite(bound):
            wanted = "a whole number" if kind == "int" else "a number"
            raise DistributionError(
                (kind, index), f"a bound of {kind} must be {wanted}, got {bound!r}"
            )
    if body[0] > body[1]:
        raise DistributionError(
            (kind, 0), f"the low bound {body[0]} is above the high bound {body[1]}"
        )


def _check_scale(kind: str, low: float, high: float, log: bool, step: Any) -> None:
    if log and low <= 0:
        raise DistributionError((kind, 0), f"with log the low bound must be above 0, got {low}")
    if step is None:
        return
    number = (int,) if kind == "int" else (int, float)
    if isinstance(step, bool) or not isinstance(step, number) or not 0 < step < math.inf:
        wanted = "a whole number" if kind == "int" else "a number"
        raise DistributionError(("step",), f"step must be {wanted} above 0, got {step!r}")
    if log:
        raise DistributionError(("step",), "log and step cannot be used together")
    if step > high - low and high > low:
        raise DistributionError(("step",), f"the step {step} is longer than the range {high - low}")


class Suggest(Protocol):
    """Gives a parameter its value. `path` is the parameter's dotted name."""

    def __call__(self, path: str, distribution: Distribution) -> Scalar: ...


@dataclass(frozen=True)
class Space:
    """A tree of options of JSON types in which distributions are still written out as mappings."""

    tree: Mapping[str, Any]

    def fill(self, suggest: Suggest) -> dict[str, Any]:
        """The tree with a value for every distribution, asked of `suggest` in the order of the file.

        A choice is asked for before the distributions inside the alternative that it takes.
        """
        filled: dict[str, Any] = self._fill(suggest)
        return filled

    @functools.cached_property
    def _fill(self) -> _Fill:
        """The tree as a function: a study fills it for each of ten thousand trials."""
        return _filling(self.tree, "")

    def parameters(self) -> dict[str, Distribution]:
        """Every parameter that a trial can have, by dotted name, those inside alternatives included."""
        return dict(_parameters(self.tree, ""))

    @property
    def conditional(self) -> bool:
        """Whether some parameters exist only under a choice of another."""
        return any(
            next(_parameters(alternative, ""), None) is not None
            for distribution in self.parameters().values()
            if isinstance(distribution, Choice)
            for alternative in distribution.alternatives
        )


def join(path: str, key: object) -> str:
    """A dotted path extended by one key."""
    return f"{path}.{key}" if path else str(key)


_Fill = Callable[[Suggest], Any]


def _filling(tree: Any, path: str) -> _Fill:
    """What fills a part of a tree, with its distributions parsed once."""
    if is_distribution(tree):
        return _asking(parse(tree), path)
    if isinstance(tree, Mapping):
        items = [(key, _filling(item, join(path, key))) for key, item in tree.items()]
        return lambda suggest: {key: fill(suggest) for key, fill in items}
    if isinstance(tree, list):
        parts = [_filling(item, join(path, index)) for index, item in enumerate(tree)]
        return lambda suggest: [fill(suggest) for fill in parts]
    return lambda _: tree


def _asking(distribution: Distribution, path: str) -> _Fill:
    if not isinstance(distribution, Choice):
        return lambda suggest: suggest(path, distribution)
    fills = {
        label(tree): _filling(tree, join(path, label(tree))) for tree in distribution.alternatives
    }
    return lambda suggest: fills[suggest(path, distribution)](suggest)


def _parameters(tree: Any, path: str) -> Iterator[tuple[str, Distribution]]:
    if is_distribution(tree):
        distribution = parse(tree)
        yield path, distribution
        if isinstance(distribution, Choice):
            for alternative in distribution.alternatives:
                yield from _parameters(alternative, join(path, label(alternative)))
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _parameters(item, join(path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _parameters(item, join(path, index))
