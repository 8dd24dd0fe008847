"""What an attempt at a trial may take, as options of the executors that run trials in processes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ByteSize, Field, WithJsonSchema


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

TrialTimeout = Annotated[
    float | None,
    Field(gt=0, description="seconds that one attempt at a trial may take; null: any"),
]
ReportTimeout = Annotated[
    float | None,
    Field(gt=0, description="seconds that a trial may go without a report; null: any"),
]
Memory = Annotated[
    Size | None,
    Field(
        description="memory that a trial with all that it starts may hold, as 4GB, 512MiB or bytes; null: any",
    ),
]
