"""LR schedulers that prose calls by several words: "cosine annealing with warm restarts", "reduce the LR on plateau".

Each phrase has a word that, beside the others, means nothing else in a sentence; it must be in the scheduler's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hpo_core.extraction.vocabulary import Vocabulary

_GAP = r"[ \t-]{1,3}"
_BETWEEN = "cosine|hard|warm|annealing|decay|schedule|learning|rate|lr|with"
_PHRASES = {
    telling: re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE)
    for telling, pattern in {
        "restarts": rf"(?:cosine|hard|warm)(?:{_GAP}(?:{_BETWEEN})){{0,6}}{_GAP}restarts?",
        "plateau": rf"reduc(?:e|es|ed|ing)(?:{_GAP}(?:the|lr|learning|rate)){{0,3}}"
        rf"{_GAP}on(?:{_GAP}(?:a|the))?{_GAP}plateau",
    }.items()
}


@dataclass(frozen=True)
class Phrase:
    """Words that are a name: where they start, and what they mean."""

    start: int
    written: str
    meant: str


def phrases(text: str, known: Vocabulary) -> Iterator[Phrase]:
    """The phrases that mean a name that somebody offers."""
    for telling, pattern in _PHRASES.items():
        for match in pattern.finditer(text):
            if (meant := known.closest(match.group(), telling)) is not None:
                yield Phrase(match.start(), match.group(), meant)
