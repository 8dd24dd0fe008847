"""The JSON Schema (draft 2020-12) of a study file, from the plugins that are installed: what `hpo schema` prints.

It serves editors, which complete and check from it while one types. `hpo validate` does not use it: it checks more
(`hpo_core.options`) and says better what is wrong. Both come from the same signatures, so they cannot drift apart.

Components that share one factory function, as the hundreds of `timm/...` models do, share one object in the schema.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hpo_core.catalog import Catalog, Entry, noun
from hpo_core.checking import list_option
from hpo_core.errors import PluginError
from hpo_core.options import Component, Option, options_of
from hpo_core.searched_schema import choice, of_tier, searched, searched_inside
from hpo_core.study_file import study_file
from hpo_core.tiers import SEARCH

Schema = dict[str, Any]

_SEARCH: Schema = {
    "type": "boolean",
    "description": "Search the options that are not given over the ranges that the plugin suggests.",
}


def study_schema(catalog: Catalog) -> Schema:
    """The schema of every study file that the catalog's components allow. Broken components are left out."""
    definitions = _Definitions(catalog)
    body = definitions.options(study_file, "study", searchable=False)
    body["patternProperties"] = {"^x-": True}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "study file of hpo",
        **body,
        "$defs": definitions.schemas,
    }


@dataclass
class _Definitions:
    """The schemas of components by kind, each made when an option first asks for it."""

    catalog: Catalog
    schemas: dict[str, Schema] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # searched values: JSON -> name

    def options(self, factory: Callable[..., Any], prefix: str, searchable: bool) -> Schema:
        """An object with the options of one factory."""
        options = options_of(factory).values()
        return {
            "type": "object",
            "properties": {
                option.name: self._option(option, f"{prefix}.{option.name}", searchable)
                for option in options
            },
            "required": [option.name for option in options if option.required],
            "additionalProperties": False,
        }

    def _option(self, option: Option, prefix: str, searchable: bool) -> Schema:
        searchable = searchable or option.searchable
        if option.kind is not None:
            schema = self._component_option(option, option.kind, searchable)
        else:
            schema = self._value(option, prefix, searchable)
        if option.description:
            schema["description"] = option.description
        if not option.required:
            schema["default"] = _default(option)
        return schema

    def _component_option(self, option: Option, kind: str, searchable: bool) -> Schema:
        schema = self._component(kind, searchable, chosen=searchable and not option.searchable)
        if option.many:
            return {"type": "array", "items": schema}
        return {"anyOf": [schema, {"type": "null"}]} if option.nullable else schema

    def _value(self, option: Option, prefix: str, searchable: bool) -> Schema:
        schema = option.adapter.json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
        for model, inner in schema.pop("$defs", {}).items():
            self.schemas[f"{prefix}.{model}"] = searched_inside(inner) if searchable else inner
        return self._shared(searched(schema)) if searchable else schema

    def _shared(self, schema: Schema) -> Schema:
        """A reference to what hundreds of options have in common (`lr`, with each way to search it), said once."""
        said: Schema = {key: schema.pop(key) for key in ("description", "default") if key in schema}
        name = self.shared.setdefault(
            json.dumps(schema, sort_keys=True), f"searched.value.{len(self.shared)}"
        )
        self.schemas[name] = schema
        return {"$ref": f"#/$defs/{name}", **said}

    def _component(self, kind: str, searchable: bool, *, chosen: bool) -> Schema:
        """A reference to the schema of a kind's components, or where one may be `chosen` of a choice of them."""
        name = f"searched.{kind}" if chosen else f"searchable.{kind}" if searchable else kind
        reference = {"$ref": f"#/$defs/{name}"}
        if name not in self.schemas:
            self.schemas[name] = {}  # a component may take a component of its own kind
            alternatives = list(self._alternatives(kind, name, searchable))
            if chosen:
                alternatives += [*self._tiers(kind, name), choice(reference)]
            self.schemas[name] = {"title": noun(kind), "anyOf": alternatives or [False]}
        return dict(reference)

    def _alternatives(self, kind: str, prefix: str, searchable: bool) -> Iterable[Schema]:
        bare: list[str] = []  # names that may stand alone, since nothing else is required
        objects: list[Schema] = []
        for names, factory in _groups(self.catalog, kind):
            place = f"{prefix}.{re.sub(r'[^A-Za-z0-9._-]', '_', names[0])}"
            try:
                schema = self.options(factory, place, searchable)
            except (TypeError, ValueError, NameError):
                continue  # its options are not declared: `hpo plugins show` says so
            if not schema["required"]:
                bare += names
            if searchable and any(option.range for option in options_of(factory).values()):
                schema["properties"].setdefault(SEARCH, _SEARCH)
            schema["properties"] = {"name": {"enum": names}, **schema["properties"]}
            schema["required"] = ["name", *schema["required"]]
            if summary := _summary(factory):
                schema["description"] = summary
            objects.append(schema)
            if (listed := list_option(factory)) is not None:
                objects += [_shorthand(name, schema["properties"][listed]) for name in names]
        if bare:
            yield {"enum": bare}
        yield from objects

    def _tiers(self, kind: str, prefix: str) -> Iterable[Schema]:
        """`{tier: N}` for each tier, with the options that all of its components take."""
        for tier, names in self.catalog.tiers(kind).items():
            try:
                entries = [self.catalog.entry(kind, name) for name in names]
                factories = {_signature(entry.factory): entry.factory for entry in entries}
                known = [options_of(factory) for factory in factories.values()]
            except (PluginError, TypeError, ValueError, NameError):
                continue  # the check of a study that names the tier says so
            schemas = [
                self.options(factory, f"{prefix}.tier-{tier}-{index}", searchable=True)
                for index, factory in enumerate(factories.values())
            ]
            searches = any(o.range is not None for options in known for o in options.values())
            yield of_tier(tier, noun(kind), schemas, {SEARCH: _SEARCH} if searches else {})


def _shorthand(name: str, listed: Schema) -> Schema:
    """`{NAME: [...]}` for a component that is nothing but a list."""
    return {
        "type": "object",
        "properties": {name: listed},
        "required": [name],
        "additionalProperties": False,
    }


def _groups(catalog: Catalog, kind: str) -> Iterable[tuple[list[str], Callable[..., Any]]]:
    """The names of a kind that share a factory function and its options, and one of their factories."""
    groups: dict[Any, tuple[list[str], Callable[..., Any]]] = {}
    entries = catalog.entries(kind)
    names = [entry.name for entry in entries]
    for entry in entries:
        try:
            factory = entry.factory
        except PluginError:
            continue  # it cannot be imported: no study can use it
        name = _full_name(entry) if names.count(entry.name) > 1 else entry.name
        groups.setdefault(_signature(factory), ([], factory))[0].append(name)
    return groups.values()


def _full_name(entry: Entry) -> str:
    return f"{entry.distribution}:{entry.name}"


def _signature(factory: Callable[..., Any]) -> Any:
    """Equal for factories that take the same options for the same reason."""
    if isinstance(factory, functools.partial):
        return (_signature(factory.func), len(factory.args), frozenset(factory.keywords))
    return factory


def _default(option: Option) -> Any:
    if option.many:
        return [component.name for component in option.default]
    if isinstance(option.default, Component):
        chosen = option.default
        return {"name": chosen.name, **chosen.options} if chosen.options else chosen.name
    return (
        json.loads(option.adapter.dump_json(option.default)) if option.default is not None else None
    )


def _summary(factory: Callable[..., Any]) -> str:
    """The first paragraph of a factory's docstring."""
    if isinstance(factory, functools.partial):
        return _summary(factory.func)
    return " ".join((factory.__doc__ or "").strip().split("\n\n")[0].split())
