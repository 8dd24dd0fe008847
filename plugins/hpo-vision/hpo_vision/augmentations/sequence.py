"""The augmentation `sequence`: several, one after the other.

::

    augmentation: {sequence: [crop, {name: trivial-augment, without: [rotate]}, mixup]}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from hpo_core import Component, InputShape, Kind


class Sequence:
    """Do what its members do, in their order; those that mix images come last, for they mix what they are given."""

    def __init__(
        self,
        shape: InputShape,
        *,
        of: Annotated[
            list[Component],
            Kind("augmentations"),
            Field(description="Augmentations, in the order in which images go through them."),
        ],
    ) -> None:
        if not of:
            raise ValueError("a sequence needs at least one augmentation in its list")
        self.members = [(member, member.build(shape)) for member in of]

    def __call__(self, images: Any, labels: Any) -> Any:
        """Called with each batch."""
        for _, augment in self.members:
            images, labels = augment(images, labels)
        return images, labels
