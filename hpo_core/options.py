"""The signature is the schema: a factory's keyword-only parameters are its options in a study file.

::

    def step(optimizer, total_steps, *, gamma: Annotated[float, Field(gt=0, le=1, description="...")] = 0.1): ...

declares one option `gamma` with its bound, default and documentation, and nothing else anywhere repeats them: from the
signature come the checks of a study file with line and column, the JSON Schema for editors, `hpo plugins show`, and
the values that the factory is called with. Positional parameters are what the engine supplies (`hpo_core.contracts`).

An option that is itself a component is annotated with its kind, and may have a Component as its default::

    lr_scheduler: Annotated[Component, Kind("lr_schedulers")] = Component("constant")

Any option may hold a distribution instead of a value (`hpo_core.space`).
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hpo_core import references
from hpo_core.catalog import Catalog, Entry, UnknownNameError, noun
from hpo_core.errors import PluginError, Problem, nearest
from hpo_core.space import (
    DISTRIBUTIONS,
    Choice,
    DistributionError,
    Float,
    Int,
    is_distribution,
    parse,
)

Path = tuple[str | int, ...]
MISSING: Any = inspect.Parameter.empty
_JSON_SCALARS = (type(None), bool, int, float, str)


@dataclass(frozen=True)
class Kind:
    """Marks an option as a component of a kind: `Annotated[Component, Kind("models")]`."""

    name: str


SEARCHABLE = object()
"""Marks the option of a study file whose own options may be searched: the objective."""


@dataclass(frozen=True)
class Component:
    """A component chosen by name, with its options: what an objective gets for `model: {name: resnet18}`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    _build: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def build(self, *positional: Any) -> Any:
        """Call the component's factory with what its kind is called with, and with its options."""
        if self._build is None:
            raise TypeError(f"component '{self.name}' is not bound to a catalog: see options.bind")
        return self._build(*positional)


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a factory."""

    name: str
    annotation: Any
    default: Any
    kind: str | None  # the kind of component it takes, if it takes one
    description: str
    searchable: bool = False

    @property
    def required(self) -> bool:
        """Whether a study file must give it."""
        return self.default is MISSING

    @property
    def many(self) -> bool:
        """Whether it takes a list of components."""
        return self.kind is not None and typing.get_origin(_bare(self.annotation)) is list

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks and converts a value of this option."""
        return TypeAdapter(self.annotation)

    @property
    def nullable(self) -> bool:
        """Whether the option may be null."""
        return self.default is None or type(None) in typing.get_args(_bare(self.annotation))

    @property
    def fields(self) -> list[str]:
        """The keys that a value may have, where it is a pydantic model."""
        bare = _bare(self.annotation)
        models = (bare, *typing.get_args(bare))
        return [name for model in models for name in getattr(model, "model_fields", ())]

    def value(self, tree: Any) -> Any:
        """The Python value of a JSON tree without distributions. Raises pydantic's ValidationError."""
        return self.adapter.validate_json(json.dumps(tree), strict=True)


@functools.lru_cache(maxsize=4096)
def options_of(factory: Callable[..., Any]) -> dict[str, Option]:
    """The options of a factory by name, in the order of its signature.

    Raises TypeError when an option has no annotation: it could not be checked.
    """
    preset = factory.keywords if isinstance(factory, functools.partial) else {}
    parameters = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in preset
    ]
    hints = _hints(factory, {parameter.name for parameter in parameters})
    options: dict[str, Option] = {}
    for parameter in parameters:
        if parameter.name not in hints:
            raise TypeError(f"option '{parameter.name}' of {factory!r} has no type annotation")
        options[parameter.name] = _option(parameter, hints[parameter.name])
    return options


def _hints(factory: Callable[..., Any], names: set[str]) -> dict[str, Any]:
    """The annotations of some parameters, evaluated.

    The others are left alone: what a factory is called with and returns (an Optuna sampler, say) may be a name that
    its module imports for type checkers only, and evaluating it would mean importing what `hpo validate` must not.
    """
    function = _annotated(factory)
    annotations = {
        name: hint
        for name, hint in getattr(function, "__annotations__", {}).items()
        if name in names
    }
    shell = types.SimpleNamespace(__annotations__=annotations)
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(shell, globalns=scope, include_extras=True)


def _annotated(factory: Callable[..., Any]) -> Any:
    """The object that carries a factory's annotations."""
    if isinstance(factory, functools.partial):
        return _annotated(factory.func)
    if inspect.isclass(factory):
        return factory.__init__
    if not inspect.isroutine(factory):
        return type(factory).__call__
    return factory


def _option(parameter: inspect.Parameter, annotation: Any) -> Option:
    kind, description = None, ""
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Kind):
            kind = extra.name
        elif isinstance(extra, FieldInfo) and extra.description:
            description = extra.description
    searchable = SEARCHABLE in getattr(annotation, "__metadata__", ())
    return Option(parameter.name, annotation, parameter.default, kind, description, searchable)


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


@dataclass
class Checker:
    """Checks the components of a study file against the catalog and collects every problem.

    `component` and what it calls return the tree with all defaults filled in and components written as mappings with
    `name`, so that what was checked is what is stored and run, or None where there was a problem.
    """

    catalog: Catalog
    problems: list[tuple[Path, Problem]] = field(default_factory=list)

    def component(self, kind: str, tree: Any, path: Path, searchable: bool) -> Any:
        """Check a component: a name, a mapping with `name`, or (if searchable) a choice of these."""
        if is_distribution(tree):
            return self._component_choice(kind, tree, path, searchable)
        if isinstance(tree, str):
            tree, name_path = {"name": tree}, path
        else:
            name_path = (*path, "name")
        if not isinstance(tree, Mapping):
            return self.blame(
                path, f"the {noun(kind)} is a name or a mapping with a name, got {_show(tree)}"
            )
        if not isinstance(tree.get("name"), str):
            return self.blame(
                path if "name" not in tree else name_path, f"the {noun(kind)} needs a name"
            )
        entry = self._entry(kind, tree["name"], name_path)
        if entry is None:
            return None
        given = {key: value for key, value in tree.items() if key != "name"}
        try:
            factory = entry.factory
        except PluginError as error:
            return self.blame(name_path, str(error), plugin=True)
        subject = f"the {noun(kind)} '{entry.name}'"
        return {"name": tree["name"]} | self.options(factory, subject, given, path, searchable)

    def options(
        self,
        factory: Callable[..., Any],
        subject: str,
        given: Mapping[str, Any],
        path: Path,
        searchable: bool,
    ) -> dict[str, Any]:
        """Check the options given to one factory, which messages call `subject`."""
        try:
            options = options_of(factory)
        except (TypeError, ValueError, NameError) as error:
            self.blame(path, f"{subject} does not declare its options: {error}", plugin=True)
            return {}
        for key in given:
            if key not in options:
                none = "" if options else " (it has none at all)"
                message = f"{subject} has no option '{key}'{none}"
                self.blame((*path, key), message, suggestion=nearest(str(key), options))
        checked: dict[str, Any] = {}
        for option in options.values():
            here = (*path, option.name)
            if option.name in given:
                checked[option.name] = self.option(option, given[option.name], here, searchable)
            elif option.required:
                self.blame(path, f"{subject} needs '{option.name}'")
            else:
                checked[option.name] = self._default(option, here)
        return checked

    def _default(self, option: Option, path: Path) -> Any:
        if option.many:
            return [
                self.component(str(option.kind), item.name, path, searchable=False)
                for item in option.default
            ]
        if isinstance(option.default, Component) and option.kind:
            default = {"name": option.default.name, **option.default.options}
            return self.component(option.kind, default, path, searchable=False)
        if type(option.default) in _JSON_SCALARS:
            return option.default  # most are: no need to build an adapter for them
        return json.loads(option.adapter.dump_json(option.default))

    def option(self, option: Option, tree: Any, path: Path, searchable: bool) -> Any:
        """Check the value, component, list of components or distribution given for one option."""
        searchable = searchable or option.searchable
        if option.many:
            return self._components(option, tree, path, searchable)
        if option.kind is not None and not (tree is None and option.nullable):
            return self.component(option.kind, tree, path, searchable)
        if not self._distributions(tree, path, searchable):
            return None
        examples = (
            _ends(tree) if is_distribution(tree) else (((), item) for item in _examples(tree))
        )
        if all(self._value(option, example, (*path, *place)) for place, example in examples):
            return tree
        return None

    def _components(self, option: Option, tree: Any, path: Path, searchable: bool) -> Any:
        if not isinstance(tree, list):
            return self.blame(path, f"{option.name} is a list, got {_show(tree)}")
        return [
            self.component(str(option.kind), item, (*path, index), searchable)
            for index, item in enumerate(tree)
        ]

    def _value(self, option: Option, value: Any, path: Path) -> bool:
        try:
            option.value(value)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._wrong(option, detail, path)
            return False
        except (ValueError, RecursionError) as error:
            self.blame(path, str(error))
            return False
        return True

    def _wrong(self, option: Option, detail: Mapping[str, Any], path: Path) -> None:
        """Record one of pydantic's complaints about a value."""
        place = (*path, *(part for part in detail["loc"] if isinstance(part, str | int)))
        if detail["type"] == "extra_forbidden":
            self.blame(place, "unknown key", suggestion=nearest(str(place[-1]), option.fields))
            return
        message = detail["msg"][:1].lower() + detail["msg"][1:]
        if detail["type"] != "missing":
            message += f", got {_show(detail['input'])}"
        self.blame(place, message, suggestion=_meant(detail))

    def _distributions(self, tree: Any, path: Path, searchable: bool) -> bool:
        """Whether every distribution inside a value makes sense."""
        if is_distribution(tree):
            if not searchable:
                self.blame(path, "only options of the objective can be searched")
                return False
            try:
                distribution = parse(tree)
            except DistributionError as error:
                self.blame((*path, *error.path), str(error))
                return False
            if isinstance(distribution, Choice):
                return all(
                    self._distributions(item, (*path, "choice", index), searchable)
                    for index, item in enumerate(distribution.alternatives)
                )
            return True
        if isinstance(tree, Mapping):
            return all(self._distributions(tree[key], (*path, key), searchable) for key in tree)
        if isinstance(tree, list):
            return all(
                self._distributions(item, (*path, index), searchable)
                for index, item in enumerate(tree)
            )
        return True

    def _component_choice(
        self, kind: str, tree: Mapping[str, Any], path: Path, searchable: bool
    ) -> Any:
        if "choice" not in tree:
            return self.blame(path, f"the {noun(kind)} cannot be a number: use a choice of names")
        if not searchable:
            return self.blame(path, "only options of the objective can be searched")
        try:
            parse(tree)
        except DistributionError as error:
            return self.blame((*path, *error.path), str(error))
        return {
            "choice": [
                self.component(kind, alternative, (*path, "choice", index), searchable)
                for index, alternative in enumerate(tree["choice"])
            ]
        }

    def _entry(self, kind: str, name: str, path: Path) -> Entry | None:
        try:
            return self.catalog.entry(kind, name)
        except UnknownNameError as error:
            self.blame(path, str(error), suggestion=error.suggestion, plugin=error.broken)
        except PluginError as error:
            self.blame(path, str(error), plugin=True)
        return None

    def blame(
        self, path: Path, message: str, *, suggestion: str | None = None, plugin: bool = False
    ) -> None:
        """Record a problem at a path of the file."""
        dotted = ".".join(str(part) for part in path)
        self.problems.append((path, Problem(dotted, message, suggestion=suggestion, plugin=plugin)))


def bind(catalog: Catalog, kind: str, tree: Mapping[str, Any]) -> Component:
    """A component ready to be built from a checked tree without distributions: what a worker does with a config.

    Components among its options are bound too. Raises PluginError or pydantic's ValidationError when the tree was
    checked against other plugins than those installed here.
    """
    entry = catalog.entry(kind, tree["name"])
    given = {key: value for key, value in tree.items() if key != "name"}

    def build(*positional: Any) -> Any:
        values = keywords(catalog, entry, given)
        return entry.factory(*positional, **values)

    return Component(tree["name"], given, build)


def keywords(catalog: Catalog, entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that a checked mapping of options stands for."""
    options = options_of(entry.factory)
    values: dict[str, Any] = {}
    for name, tree in given.items():
        if name not in options:
            raise PluginError(
                f"the {noun(entry.kind)} '{entry.name}' installed here has no option '{name}'"
            )
        values[name] = _bound(catalog, options[name], tree)
    return values


def _bound(catalog: Catalog, option: Option, tree: Any) -> Any:
    if option.many:
        return [bind(catalog, str(option.kind), item) for item in tree]
    if option.kind is not None and tree is not None:
        return bind(catalog, option.kind, tree)
    return option.value(references.resolve(tree))


def _ends(tree: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The extreme values of a distribution, each with its place in the mapping."""
    distribution = parse(tree)
    if isinstance(distribution, Float | Int):
        kind = "int" if isinstance(distribution, Int) else "float"
        yield (kind, 0), distribution.low
        yield (kind, 1), distribution.high
        return
    for index, alternative in enumerate(distribution.alternatives):
        if is_distribution(alternative):
            for place, value in _ends(alternative):
                yield ("choice", index, *place), value
        else:
            for value in _examples(alternative):
                yield ("choice", index), value


def _examples(tree: Any) -> list[Any]:
    """Values without distributions that together visit both ends of every distribution in a tree."""
    if is_distribution(tree):
        return [value for _, value in _ends(tree)]
    if isinstance(tree, Mapping):
        columns = {key: _examples(item) for key, item in tree.items()}
        return [dict(zip(columns, row, strict=True)) for row in _rows(list(columns.values()))]
    if isinstance(tree, list):
        return [list(row) for row in _rows([_examples(item) for item in tree])]
    return [tree]


def _rows(columns: list[list[Any]]) -> list[tuple[Any, ...]]:
    longest = max((len(column) for column in columns), default=1)
    return [
        tuple(column[min(index, len(column) - 1)] for column in columns) for index in range(longest)
    ]


def _meant(detail: Mapping[str, Any]) -> str | None:
    """The word that was probably meant by a value that pydantic refused."""
    value = detail["input"]
    if detail["type"] == "literal_error":
        return nearest(str(value), re.findall("'([^']*)'", detail["ctx"]["expected"]))
    keys = value if isinstance(value, Mapping) else ()
    return next((word for key in keys if (word := nearest(str(key), DISTRIBUTIONS))), None)


def _show(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 60 else f"{text[:57]}..."
