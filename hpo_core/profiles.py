"""Profiles: what authors of a model, or of any component, know to work for it, tried before a sampler knows a thing.

A component's factory may carry an attribute `profile`, values by the dotted path of the objective's options::

    resnet18.profile = {"optimizer": "sgd", "optimizer.sgd.lr": 0.05, "lr_scheduler": "cosine"}

When a study begins, each component that its objective can take and that has a profile gets a trial with these values;
what the profile does not say the sampler proposes. A path means the same whether the study searches among optimizers
or names one. Only values that the study searches can be set: the others are left out, and it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_core.catalog import Catalog, noun
from hpo_core.errors import PluginError
from hpo_core.options import options_of
from hpo_core.space import Choice, Distribution, Float, Int, Scalar, is_distribution, join, label
from hpo_core.space import parse as parsed
from hpo_core.spec import StudySpec


@dataclass
class Profile:
    """The first trial of a component, called `component` for people: parameters of the space, and what was left out."""

    component: str
    params: dict[str, Scalar] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def profiles(spec: StudySpec, catalog: Catalog) -> tuple[list[Profile], str | None]:
    """The trials that a study begins with, in the order of its file, and why there are not more of them, or None.

    At most half of a budget's trials. Raises PluginError for what is no profile.
    """
    if not spec.profiles:
        return [], None
    found = list(_found(spec, catalog))
    if found and getattr(
        catalog.entry("samplers", spec.sampler["name"]).factory, "exhaustive", False
    ):
        return [], f"the sampler '{spec.sampler['name']}' tries every point of the space anyway"
    most = len(found) if spec.budget.trials is None else spec.budget.trials // 2
    if len(found) > most:
        return found[:most], f"{most} of {len(found)} profiles are half of the budget's trials"
    return found, None


def _found(spec: StudySpec, catalog: Catalog) -> Iterator[Profile]:
    """Every profile that sets something in the space; of equal ones the first."""
    seen: list[dict[str, Scalar]] = []
    tree = spec.space.tree
    for place in _inside(catalog, "objectives", spec.objective, "", {}):
        entry = catalog.entry(place.kind, place.name)
        wanted = getattr(entry.factory, "profile", None)
        if wanted is None:
            continue
        called = f"{noun(place.kind)} '{place.name}'"
        if not isinstance(wanted, Mapping):
            raise PluginError(
                f"the profile of the {called} ({entry.distribution}) is no mapping of paths to values: {wanted!r}"
            )
        profile = Profile(called, dict(place.choices))
        useful = [
            _take(profile, tree, str(path), value)
            for path, value in sorted(wanted.items(), key=lambda item: str(item[0]).count("."))
        ]
        if any(useful) and profile.params not in seen:
            seen.append(profile.params)
            yield profile


@dataclass(frozen=True)
class _Place:
    """A component that a trial may have, and the choices that lead to it."""

    kind: str
    name: str
    choices: Mapping[str, Scalar]


def _inside(
    catalog: Catalog, kind: str, tree: Mapping[str, Any], path: str, choices: Mapping[str, Scalar]
) -> Iterator[_Place]:
    """The components among the options of a component, however deep."""
    for option in options_of(catalog.entry(kind, tree["name"]).factory).values():
        if option.kind is None or tree.get(option.name) is None:
            continue
        given, here = tree[option.name], join(path, option.name)
        many = [(item, join(here, index)) for index, item in enumerate(given)]
        for item, at in many if option.many else [(given, here)]:
            yield from _alternatives(catalog, option.kind, item, at, choices)


def _alternatives(
    catalog: Catalog, kind: str, tree: Any, path: str, choices: Mapping[str, Scalar]
) -> Iterator[_Place]:
    """A component, or each that a choice may take, and those inside."""
    if is_distribution(tree):
        for each in tree["choice"]:
            chosen = {**choices, path: label(each)}
            yield from _alternatives(catalog, kind, each, join(path, label(each)), chosen)
    elif tree is not None:
        yield _Place(kind, tree["name"], choices)
        yield from _inside(catalog, kind, tree, path, choices)


def _take(profile: Profile, tree: Mapping[str, Any], path: str, value: Any) -> bool:
    """Put one value of a profile into its parameters, or say why not; True if it sets anything.

    What the study's file says anyway sets nothing, and nothing need be said of it.
    """
    try:
        params = dict(_parameters(tree, path, "", value))
    except _Left as left:
        profile.left_out.append(f"{path}: {left}")
        return False
    for name, wanted in params.items():
        if profile.params.get(name, wanted) != wanted:
            profile.left_out.append(f"{path}: {name} is {profile.params[name]!r} in this trial")
            return False
    profile.params |= params
    return bool(params)


class _Left(Exception):
    """Why a value of a profile is left out."""


def _parameters(tree: Any, rest: str, path: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    """The parameters, choices on the way included, that put `value` at `rest` inside `tree`. Raises _Left."""
    if is_distribution(tree):
        yield from _searched(parsed(tree), rest, path, value)
    elif not rest:
        if label(tree) != value:
            raise _Left(f"is {label(tree)!r} in this study")
    elif isinstance(tree, Mapping):
        yield from _entered(tree, rest, path, value)
    elif isinstance(tree, list) and (index := _head(rest, map(str, range(len(tree))))):
        yield from _parameters(tree[int(index)], _tail(rest, index), join(path, index), value)
    else:
        raise _Left("there is no such option in this study")


def _searched(
    distribution: Distribution, rest: str, path: str, value: Any
) -> Iterator[tuple[str, Scalar]]:
    if not rest:
        yield path, _within(distribution, value)
        return
    if not isinstance(distribution, Choice):
        raise _Left("there is no such option in this study")
    labels = {str(each): each for each in distribution.labels}
    head = _head(rest, labels)
    if head is None:
        raise _Left(f"{path} is never that in this study")
    yield path, labels[head]
    inner = distribution.alternative(labels[head])
    yield from _parameters(inner, _tail(rest, head), join(path, head), value)


def _entered(
    tree: Mapping[str, Any], rest: str, path: str, value: Any
) -> Iterator[tuple[str, Scalar]]:
    """Into a component that the file names itself: its name is in the profile's path, and not in the parameter's."""
    key = _head(rest, tree)
    if key is not None:
        yield from _parameters(tree[key], _tail(rest, key), join(path, key), value)
        return
    name = _head(rest, [str(tree.get("name", ""))])
    if not name:
        other = f"{path} is '{tree['name']}'" if "name" in tree else "there is no such option"
        raise _Left(f"{other} in this study")
    yield from _parameters(tree, _tail(rest, name), path, value)


def _head(rest: str, words: Any) -> str | None:
    """The longest of the words that a dotted path begins with; names of components may have dots themselves."""
    fits = [word for word in words if rest == word or rest.startswith(f"{word}.")]
    return max(fits, key=len, default=None)


def _tail(rest: str, head: str) -> str:
    return rest[len(head) + 1 :]


def _within(distribution: Distribution, value: Any) -> Scalar:
    """A value that a parameter can have, of the type that it has. Raises _Left."""
    if isinstance(distribution, Choice):
        for each in distribution.labels:
            if each == value and isinstance(each, bool) == isinstance(value, bool):
                return each
        raise _Left(f"{value!r} is none of the alternatives in this study")
    whole = isinstance(distribution, Int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise _Left(f"{value!r} is no {'whole number' if whole else 'number'}")
    if not distribution.low <= value <= distribution.high:
        raise _Left(f"{value!r} is not in {distribution.low!r}..{distribution.high!r}")
    if distribution.step is not None:
        steps = (value - distribution.low) / distribution.step
        if abs(steps - round(steps)) > 1e-8:
            raise _Left(f"{value!r} is not on the grid of step {distribution.step!r}")
    return float(value) if isinstance(distribution, Float) else value
