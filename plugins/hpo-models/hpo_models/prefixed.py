"""Prefixed names: `model_ResNet18` is the model ResNet18 where a bare name could be anything, as in a text.

A name is what stands behind the prefix, unchanged, so the two functions undo each other for every model that there is,
`timm/resnet18` included.
"""

from __future__ import annotations

PREFIX = "model_"


def prefixed(name: str) -> str:
    """`ResNet18` -> `model_ResNet18`. Raises ValueError for an empty name."""
    if not name:
        raise ValueError("a model's name is empty")
    return PREFIX + name


def parse_prefixed(text: str) -> str | None:
    """`model_ResNet18` -> `ResNet18`; None when it is not a prefixed name."""
    return text.removeprefix(PREFIX) or None if text.startswith(PREFIX) else None
