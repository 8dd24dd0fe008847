"""Which numbers the jerseys carry and how often: a long tail, as rosters have it.

The label "" is a class of its own, of images on which no number can be read: a model has to say so.
"""

from __future__ import annotations

from hpo_core import Part
from hpo_vision.procedural.chance import chance

HIGH = ("32", "33", "34", "35", "40", "44", "55", "66", "77", "99")
NUMBERS = tuple(sorted(("", "0", "00", *(str(number) for number in range(1, 31)), *HIGH)))
"""All 43 labels in the order of text: "" is first, and "10" comes before "2"."""
UNKNOWN = ("31", "68", "88", "91")
"""Numbers that only the test part has: no model can know them."""

MOST, LEAST = 257, 4
SHARES = {"train": 1.0, "val": 0.13, "test": 0.13}


def counts(part: Part, scale: float) -> dict[str, int]:
    """How many images of each label a part has: from 257 down to 4 in train, an eighth of it in the others.

    Which number is rare does not depend on the seed. The least is 2, to train on as well as to judge by.
    """
    ranked = list(NUMBERS)
    chance("jerseys", "ranks").shuffle(ranked)
    ratio = (LEAST / MOST) ** (1 / (len(ranked) - 1))
    share = SHARES[part] * scale
    most = {label: MOST * ratio**rank for rank, label in enumerate(ranked)}
    return {label: max(2, round(share * most[label])) for label in NUMBERS}
