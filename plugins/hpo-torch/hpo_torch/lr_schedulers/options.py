"""Types of options that several LR schedulers share: bounds and meaning, without a default or a range to search.

A factory adds those: `every: Annotated[Every, Float(0.1, 0.6)] = 0.33`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Every = Annotated[float, Field(gt=0, le=1, description="Fraction of the run between two drops.")]
Gamma = Annotated[
    float, Field(gt=0, lt=1, description="What the rate is multiplied by at a drop (gamma).")
]
Milestone = Annotated[float, Field(gt=0, le=1, description="Fraction of the run before a drop.")]
Final = Annotated[
    float, Field(gt=0, lt=1, description="Where the rate ends, as a part of the full rate.")
]
Floor = Annotated[
    float, Field(ge=0, lt=1, description="Lowest rate, as a part of the full rate (m).")
]
Power = Annotated[float, Field(gt=0, le=10, description="The exponent (p).")]
Warmup = Annotated[
    float, Field(gt=0, lt=1, description="Fraction of the run in which the rate rises.")
]
Start = Annotated[
    float, Field(ge=0, lt=1, description="First rate of the warm-up, as a part of the full rate.")
]
Period = Annotated[
    float, Field(gt=0, le=1, description="Fraction of the run before the first restart.")
]
Up = Annotated[
    float,
    Field(gt=0, le=1, description="Fraction of the run in which a cycle rises; it falls as long."),
]
Base = Annotated[
    float, Field(gt=0, lt=1, description="Low end of a cycle, as a part of the full rate (b).")
]
