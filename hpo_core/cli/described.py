"""What a factory's signature and docstring say of it, for people: the options with type, bounds, default, meaning."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from hpo_core.catalog import noun
from hpo_core.cli.tables import aligned, terminal_width
from hpo_core.cli.wording import clean
from hpo_core.options import Component, Option, options_of
from hpo_core.space import flow, written

_BOUNDS = (
    ("minimum", ">= {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "<= {}"),
    ("exclusiveMaximum", "< {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "matching {}"),
)


@dataclass(frozen=True)
class DescribedOption:
    """An option as `hpo plugins show` prints it; `default` is a JSON value, and None too where `required`."""

    name: str
    type: str
    bounds: str
    required: bool
    default: Any
    description: str
    search: Any = None  # the distribution that the plugin suggests, as a study file writes it


def described_options(factory: Callable[..., Any]) -> list[DescribedOption]:
    """The options of a factory in the order of its signature."""
    return [_described(option) for option in options_of(factory).values()]


def option_rows(options: list[DescribedOption]) -> Iterator[str]:
    """The options as a table, or that there are none."""
    if not options:
        yield "  no options"
        return
    rows: list[tuple[str, ...]] = [
        ("  option", "type", "bounds", "default", "to search", "description")
    ]
    rows += [
        (
            f"  {option.name}",
            option.type,
            option.bounds,
            "required" if option.required else json.dumps(option.default),
            flow(option.search) if option.search else "",
            clean(option.description),
        )
        for option in options
    ]
    if not any(option.search for option in options):
        rows = [(*row[:4], row[5]) for row in rows]
    yield from aligned(rows, terminal_width())


def docstring(factory: Callable[..., Any]) -> str:
    """The factory's own docstring without its indentation; empty where it has none."""
    return inspect.getdoc(factory) or ""


def first_line(factory: Callable[..., Any]) -> str:
    """The first line of the docstring."""
    return docstring(factory).partition("\n")[0]


def _described(option: Option) -> DescribedOption:
    schema = _schema(option)
    default = None if option.required else option.default
    if isinstance(default, Component):
        default = {"name": default.name, **default.options} if default.options else default.name
    return DescribedOption(
        option.name,
        noun(option.kind) if option.kind else _type(schema),
        "" if option.kind else _bounds(schema),
        option.required,
        default,
        option.description,
        None if option.range is None else written(option.range),
    )


def _schema(option: Option) -> Mapping[str, Any]:
    """JSON Schema of an option's values; empty for a component, or a type that JSON Schema cannot say."""
    if option.kind:
        return {}
    try:
        return _json_schema(option.adapter)
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
        return {}


@functools.cache
def _json_schema(adapter: TypeAdapter[Any]) -> Mapping[str, Any]:
    return adapter.json_schema()


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " | ".join(_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _bounds(schema: Mapping[str, Any]) -> str:
    """The bounds of a value, those of the alternatives of a union included."""
    own = [text.format(schema[key]) for key, text in _BOUNDS if key in schema]
    return ", ".join(own + [b for part in schema.get("anyOf", ()) if (b := _bounds(part))])
