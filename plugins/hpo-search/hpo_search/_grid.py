"""The grid over a conditional space, by index arithmetic.

A grid may have more points than could ever be listed, so a point is computed from its index. An index is a number in
mixed radix with a digit for each parameter, in the order of the file, lowest first. A choice is one digit whose
weight is the number of points of all its alternatives together: the digit's value says both which alternative is
meant and which point within it, and the latter is handed down as the lower digits of what remains.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from hpo_core import Choice, Distribution, Scalar, Space
from hpo_core.sampling import SpaceExhausted, derive_seed
from hpo_search import _unit


def point(space: Space, points: int, number: int, seed: int | None) -> dict[str, Scalar]:
    """The values of the point that trial `number` tries, in an order shuffled by `seed` if there is one.

    Raises SpaceExhausted behind the last point.
    """
    total = size(space, points)
    if number >= total:
        raise SpaceExhausted(f"all {total} points of the grid have been tried")
    index = number if seed is None else _shuffled(number, total, seed)
    return _decode(space, points, index)


def size(space: Space, points: int) -> int:
    """How many points the grid has."""
    over, under = 1, 1

    def visit(path: str, distribution: Distribution) -> Scalar:
        nonlocal over, under
        if not isinstance(distribution, Choice):
            values = levels(distribution, points)
            over *= len(values)
            return values[0]
        sizes = _sizes(distribution, points)
        over *= sum(sizes)
        under *= sizes[0]  # the walk goes on into the first alternative and counts its points again
        return distribution.labels[0]

    space.fill(visit)
    return over // under


def levels(distribution: Distribution, points: int) -> tuple[Scalar, ...]:
    """The values of one number on the grid: all if there are at most `points`, or that many from low to high."""
    assert not isinstance(distribution, Choice)
    every = _unit.cells(distribution)
    if every is not None and every <= points:
        return tuple(_unit.nth(distribution, index) for index in range(every))
    fractions = [index / (points - 1) for index in range(points)]
    low, high = distribution.low, distribution.high
    if distribution.log:
        inner: list[float] = [low * (high / low) ** fraction for fraction in fractions[1:-1]]
        rounded = [round(value) for value in inner] if isinstance(low, int) else inner
        return tuple(dict.fromkeys((low, *rounded, high)))  # rounding may make neighbours equal
    if every is not None:
        return tuple(_unit.nth(distribution, round(part * (every - 1))) for part in fractions)
    return (low, *(low + part * (high - low) for part in fractions[1:-1]), high)


def _decode(space: Space, points: int, index: int) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    rest = index

    def visit(path: str, distribution: Distribution) -> Scalar:
        nonlocal rest
        if not isinstance(distribution, Choice):
            values = levels(distribution, points)
            rest, digit = divmod(rest, len(values))
            found[path] = values[digit]
            return values[digit]
        sizes = _sizes(distribution, points)
        rest, digit = divmod(rest, sum(sizes))
        chosen = 0
        while digit >= sizes[chosen]:
            digit -= sizes[chosen]
            chosen += 1
        rest = rest * sizes[chosen] + digit  # the parameters inside are asked for next
        found[path] = distribution.labels[chosen]
        return found[path]

    space.fill(visit)
    return found


def _sizes(choice: Choice, points: int) -> list[int]:
    return [size(Space({"": alternative}), points) for alternative in choice.alternatives]


def _shuffled(number: int, total: int, seed: int) -> int:
    """Where `number` goes in a random permutation of range(total), without listing the permutation.

    A Feistel network permutes the next even power of two; places outside the range are walked through until one
    inside turns up, which keeps it a permutation (Black and Rogaway, 2002).
    """
    half = max(1, (total.bit_length() + 1) // 2)
    return next(place for place in _walk(number, half, seed) if place < total)


def _walk(place: int, half: int, seed: int) -> Iterator[int]:
    mask = (1 << half) - 1
    for _ in count():
        left, right = place >> half, place & mask
        for turn in range(4):
            scrambled = derive_seed(seed, "grid", turn, right) & mask
            left, right = right, left ^ scrambled
        place = left << half | right
        yield place
