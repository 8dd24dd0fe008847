"""What pydantic says of a value, in the words of a study file: where, what, and which word was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hpo_core.errors import nearest
from hpo_core.options import Path
from hpo_core.space import DISTRIBUTIONS


def by_place(details: list[Any], value: Any) -> dict[Path, list[Mapping[str, Any]]]:
    """Pydantic's complaints by where they are, in the order of the first at each place."""
    found: dict[Path, list[Mapping[str, Any]]] = {}
    for detail in details:
        found.setdefault(_place(detail, value), []).append(detail)
    return found


def complaint(details: list[Mapping[str, Any]], fields: Iterable[str]) -> tuple[str, str | None]:
    """What is wrong at one place, and the word that was probably meant. Several `details` are a union's alternatives.

    `fields` are the keys that the value may have.
    """
    detail = details[0]
    if detail["type"] == "extra_forbidden":
        return "unknown key", nearest(str(detail["loc"][-1]), fields)
    message = _alternatives([_message(each) for each in details])
    if detail["type"] not in ("missing", "value_error"):
        message += f", got {show(detail['input'])}"
    return message, next((word for each in details if (word := _meant(each))), None)


def _place(detail: Mapping[str, Any], value: Any) -> Path:
    """Where a complaint is: pydantic's location without its names for the alternatives of a union."""
    place: list[str | int] = []
    parts = list(detail["loc"])
    absent = [parts.pop()] if detail["type"] == "missing" else []
    for part in parts:
        if isinstance(value, Mapping) and part in value:
            place.append(part)
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            place.append(part)
            value = value[part]
    return (*place, *absent)


def _message(detail: Mapping[str, Any]) -> str:
    message: str = detail["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _alternatives(messages: list[str]) -> str:
    """`input should be a valid integer or 'all'`, of the two messages that begin with the same words."""
    start = "input should be "
    rest = [
        message.removeprefix(start) if index else message for index, message in enumerate(messages)
    ]
    return " or ".join(dict.fromkeys(rest))


def _meant(detail: Mapping[str, Any]) -> str | None:
    """The word that was probably meant by a value that pydantic refused."""
    value = detail["input"]
    if detail["type"] == "literal_error":
        return nearest(str(value), re.findall("'([^']*)'", detail["ctx"]["expected"]))
    keys = value if isinstance(value, Mapping) else ()
    return next((word for key in keys if (word := nearest(str(key), DISTRIBUTIONS))), None)


def show(value: Any) -> str:
    """A value as a message quotes it: not all of a long one."""
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= 60 else f"{text[:57]}..."
