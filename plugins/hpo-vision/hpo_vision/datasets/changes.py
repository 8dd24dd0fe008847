"""Which operations change what an image shows: what datasets' factories say in their attribute `changed_by`.

Light: a study file is checked by it (`hpo_core.contracts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from hpo_core import Operation

Changes = Mapping[Operation, str]

DIGITS: Changes = {
    "flip": "a mirrored 2 is no digit",
    "rotate": "a 6 turned upside down is a 9",
}
LETTERS: Changes = {
    "flip": "a mirrored b is a d",
    "rotate": "a u turned upside down is an n",
}
CHARACTERS: Changes = {
    "flip": "a mirrored character is none",
    "rotate": "a character that is turned may be another",
}
SIGNS: Changes = {
    "flip": "a sign that says left, mirrored, says right",
    "rotate": "an arrow that is turned points elsewhere",
}
TEXT: Changes = {"flip": "mirrored text cannot be read"}


def always(changes: Changes) -> Callable[[Mapping[str, Any]], Changes]:
    """A `changed_by` that does not depend on the options."""
    return lambda options: changes


def as_told(options: Mapping[str, Any]) -> Changes:
    """The `changed_by` of people's own images: the operations of the option `label_changing`, which may be searched."""
    told = options.get("label_changing")
    return {
        operation: "the dataset's label_changing says so"
        for operation in get_args(Operation)
        if _within(operation, told)
    }


def _within(word: str, tree: Any) -> bool:
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    return any(_within(word, item) for item in tree) if isinstance(tree, list) else tree == word
