"""JSON Schemas that allow a distribution wherever they allow a value: the half of `hpo_core.space` that editors see."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_KEYS = ["float", "int", "choice", "log", "step"]


def searched(schema: Schema) -> Schema:
    """`schema`, or a distribution over its values. Its description and default stay outermost."""
    outer: Schema = {
        key: schema[key] for key in ("title", "description", "default") if key in schema
    }
    inner = {key: value for key, value in schema.items() if key not in outer}
    value = searched_inside(inner)
    return {**outer, "anyOf": [value, *_numbers(inner), choice(value)]}


def searched_inside(schema: Schema) -> Schema:
    """`schema` with distributions allowed in its parts: items of a list, entries of a mapping."""
    result = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = searched(result[key])
    if "prefixItems" in result:
        result["prefixItems"] = [searched(item) for item in result["prefixItems"]]
    if "properties" in result:
        result["properties"] = {key: searched(item) for key, item in result["properties"].items()}
    for key in ("anyOf", "oneOf"):
        if key in result:
            result[key] = [searched_inside(item) for item in result[key]]
    return result


def choice(item: Schema) -> Schema:
    """A choice among values; each may in turn be a distribution, of which nothing more is said here."""
    nested = {"type": "object", "minProperties": 1, "propertyNames": {"enum": _KEYS}}
    return _distribution(
        "choice", {"type": "array", "minItems": 1, "items": {"anyOf": [item, nested]}}
    )


def of_tier(tier: int, noun: str, schemas: list[Schema], more: Schema) -> Schema:
    """`{tier: N}`, with the options that are in all of the `schemas` of its components, and `more`."""
    shared = [
        key for key in schemas[0]["properties"] if all(key in s["properties"] for s in schemas)
    ]
    options = {key: _all_of([schema["properties"][key] for schema in schemas]) for key in shared}
    required = {key for schema in schemas for key in schema["required"]}
    return {
        "type": "object",
        "description": f"The choice of every {noun} of tier {tier}; options are given to each.",
        "properties": {"tier": {"const": tier}} | more | options,
        "required": ["tier", *sorted(required)],
        "additionalProperties": False,
    }


def _all_of(schemas: list[Schema]) -> Schema:
    """What fits all of these; what they only say of themselves is left out where they differ."""
    if all(schema == schemas[0] for schema in schemas):
        return schemas[0]
    bare = [
        {key: value for key, value in schema.items() if key not in ("default", "description")}
        for schema in schemas
    ]
    distinct = [schema for index, schema in enumerate(bare) if schema not in bare[:index]]
    return distinct[0] if len(distinct) == 1 else {"allOf": distinct}


def _numbers(schema: Schema) -> list[Schema]:
    """The distributions over numbers that a value's schema leaves room for."""
    alternatives = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
    allowed = {kind: part for part in alternatives if isinstance(kind := part.get("type"), str)}
    if part := allowed.get("number"):
        return [_range("float", part), _range("int", part)]
    if part := allowed.get("integer"):
        return [_range("int", part)]
    unknown = not schema or schema.keys() & {"$ref", "allOf"}
    return [_range("float", {}), _range("int", {})] if unknown else []


def _range(kind: str, value: Schema) -> Schema:
    number = "integer" if kind == "int" else "number"
    bound = {"type": number, **{key: value[key] for key in _BOUNDS if key in value}}
    schema = _distribution(kind, {"type": "array", "items": bound, "minItems": 2, "maxItems": 2})
    schema["properties"]["log"] = {"type": "boolean", "description": "search the logarithm"}
    schema["properties"]["step"] = {
        "type": number,
        "exclusiveMinimum": 0,
        "description": "search a grid from the low bound",
    }
    return schema


def _distribution(kind: str, body: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {kind: body},
        "required": [kind],
        "additionalProperties": False,
    }
