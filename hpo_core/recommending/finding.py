"""What a rule says: a sentence, the numbers behind it, and what to write into the study file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_core.space import flow


@dataclass(frozen=True)
class Edit:
    """What to write under a path of the study file. It is an override of `hpo run` as well: `path=value`."""

    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.path}: {flow(self.value)}"

    @property
    def override(self) -> str:
        """As a word of `hpo run`'s command line."""
        return f"{self.path}={flow(self.value)}"


@dataclass(frozen=True)
class Finding:
    """Something to know of a study. `evidence` are numbers by name; without `edits` it is for its user to find out.

    `caveat` is what the numbers cannot say.
    """

    rule: str
    says: str
    evidence: Mapping[str, Any]
    edits: tuple[Edit, ...] = field(default=())
    caveat: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        edits = [{"path": edit.path, "value": edit.value, "text": str(edit)} for edit in self.edits]
        head = {"rule": self.rule, "says": self.says, "evidence": dict(self.evidence)}
        return head | {"edits": edits, "caveat": self.caveat}
