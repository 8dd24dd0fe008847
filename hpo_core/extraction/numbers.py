"""What a text may mean by each number of a study, in the order in which it is believed.

The part of the text decides first (`hpo_core.extraction.sources`), then the rule that finds it, a keyword with a sign
before "for 90 epochs" and that before the others, then what comes first. A number that its context gives to something
else, say to the warm-up (`hpo_core.extraction.asides`), comes last and is never taken.
"""

from __future__ import annotations

import re

from hpo_core.extraction.asides import not_the_run
from hpo_core.extraction.candidates import Candidate, rule
from hpo_core.extraction.sources import SOURCES, Parts

_NUMBER = (
    r"(?P<number>[-+]?(?:\d{1,15}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?)(?![\w%])(?!\.\d)"
)
_CLOSED, _OPENED = r"[\"'\]`*)]{0,3}[ \t]*", r"[ \t]*[\"'`*(]{0,2}"
_SIGN = rf"{_CLOSED}(?:[:=,]|->|to\b|of\b|is\b)?{_OPENED}"
_RATES = (r"learning[ _-]?rate", r"lr", r"initial[ _-]?lr", r"base[ _-]?lr")
_EPOCHS = r"(?<![\w-])(?P<key>(?:(?:num|max|n|total)[ _-]?)?epochs?)(?![\w-])"
# a comma between a quoted key and its value, or in CSV: "for 90 epochs, 3 times" is not 3
_SIGNED = rf"{_CLOSED}(?:[:=]|(?<=[\"']),|,(?=\d)|->|to\b|of\b|is\b){_OPENED}"
_OF_EPOCHS = rf"{_NUMBER.replace('(?![', '(?![.')}[ -]epochs?\b"
_NUMBERS = {
    "lr": [rf"(?<![\w-]){key}(?![\w-]){_SIGN}{_NUMBER}" for key in _RATES],
    "epochs": [
        rf"{_EPOCHS}{_SIGNED}{_NUMBER}",
        rf"(?<![\w-])(?:for|train(?:s|ed|ing)?(?:[ \t]+for)?)[ \t]+{_OF_EPOCHS}",
        rf"{_EPOCHS}{_CLOSED}{_OPENED}{_NUMBER}",
        rf"(?<![\w.+-]){_OF_EPOCHS}",
    ],
    "batch_size": [
        rf"(?<![\w-])(?:batch[ _-]?size|batch|bs)(?![\w-]){_SIGN}{_NUMBER}",
        rf"(?<![\w-])batches of {_NUMBER}",
    ],
}
_PATTERNS = {
    field: [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    for field, patterns in _NUMBERS.items()
}


def numbers(field: str, text: str, parts: Parts) -> list[Candidate]:
    """What the text may mean by a number, the likeliest first."""
    found: dict[int, Candidate] = {}
    for order, pattern in enumerate(_PATTERNS[field]):
        for match in pattern.finditer(text):
            where = match.start("number")
            if where in found:
                continue
            source, number = parts.rank(where), match["number"]
            how = rule(match.group()[: where - match.start()])
            aside = not_the_run(text, match) if field == "epochs" else ""
            rank = (bool(aside), source, order, where)
            found[where] = Candidate(rank, where, number, number, how, SOURCES[source], aside=aside)
    return sorted(found.values())
