"""The signature is the schema: a factory's keyword-only parameters are its options in a study file.

::

    def step(optimizer, total_steps, *, gamma: Annotated[float, Field(gt=0, le=1, description="...")] = 0.1): ...

declares one option `gamma` with its bound, default and documentation, and nothing else anywhere repeats them: from the
signature come the checks of a study file with line and column, the JSON Schema for editors, `hpo plugins show`, and
the values that the factory is called with. Positional parameters are what the engine supplies (`hpo_core.contracts`).

An option that is itself a component is annotated with its kind, and may have a Component as its default::

    lr_scheduler: Annotated[Component, Kind("lr_schedulers")] = Component("constant")

Any option may hold a distribution instead of a value (`hpo_core.space`). The one that is worth searching, if a plugin
knows it, stands in the annotation too: `Annotated[float, Field(gt=0), Float(0.05, 0.7, log=True)]`; a study file takes
all of a component's with `search: true`.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hpo_core import references
from hpo_core.catalog import Catalog, Entry, noun
from hpo_core.errors import PluginError
from hpo_core.references import UnfitReferenceError
from hpo_core.space import Choice, Distribution, Float, Int

Path = tuple[str | int, ...]
MISSING: Any = inspect.Parameter.empty


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
    _factory: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def build(self, *positional: Any) -> Any:
        """Call the component's factory with what its kind is called with, and with its options."""
        if self._build is None:
            raise TypeError(f"component '{self.name}' is not bound to a catalog: see options.bind")
        return self._build(*positional)

    def trait(self, name: str, default: Any) -> Any:
        """What the factory says about itself in an attribute, such as an LR scheduler's `interval`; or `default`."""
        return getattr(self._factory, name, default)


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a factory."""

    name: str
    annotation: Any
    default: Any
    kind: str | None  # the kind of component it takes, if it takes one
    description: str
    searchable: bool = False
    range: Distribution | None = None  # what the plugin suggests to search

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
    if isinstance(factory, functools.partial):  # a thousand models share one function's options
        shared = options_of(factory.func).items()
        return {name: option for name, option in shared if name not in factory.keywords}
    parameters = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
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
    if inspect.isclass(factory):
        return factory.__init__
    if not inspect.isroutine(factory):
        return type(factory).__call__
    return factory


def _option(parameter: inspect.Parameter, annotation: Any) -> Option:
    kind, description, range_ = None, "", None
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, Kind):
            kind = extra.name
        elif isinstance(extra, FieldInfo) and extra.description:
            description = extra.description
        elif isinstance(extra, Float | Int | Choice):
            range_ = extra
    searchable = SEARCHABLE in getattr(annotation, "__metadata__", ())
    return Option(
        parameter.name, annotation, parameter.default, kind, description, searchable, range_
    )


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


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

    return Component(tree["name"], given, build, entry.factory)


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
    try:
        return option.value(references.resolve(tree))
    except ValidationError as error:
        if not references.names(tree):
            raise
        raise _unfit(option, tree, error) from None  # it quotes half of the value


def _unfit(option: Option, tree: Any, error: ValidationError) -> UnfitReferenceError:
    said = references.conceal("; ".join(each["msg"] for each in error.errors()))
    names = " and ".join(f"${{env:{name}}}" for name in references.names(tree))
    return UnfitReferenceError(
        f"what {names} stands for does not fit option '{option.name}': {said}"
    )
