"""Sizes as people write them: the type of options that take a number of bytes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ByteSize, WithJsonSchema


def _positive(size: ByteSize) -> ByteSize:
    if size == 0:
        raise ValueError("no trial can run in 0 bytes")
    return size


Size = Annotated[
    ByteSize,
    AfterValidator(_positive),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d*\.?\d+\s*[A-Za-z]*$"},
            ]
        }
    ),
]
"""A number of bytes, or one with a unit: `4GB`, `512MiB`."""
