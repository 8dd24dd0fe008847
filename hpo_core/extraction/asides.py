"""What the words around a name or a number take back: "not VGG16", "5 epochs of warm-up".

A negation reaches a name over words like "use" and "the" only: "without augmentation on CIFAR-10" is about CIFAR-10.
No rule reaches over a comma, the end of a sentence or of a line, and none looks at more than `_NEAR` characters.
"""

from __future__ import annotations

import re

_NEAR = 100

_NOT = (
    r"(?<![\w-])(?:(?<![:=])(?<![:=][ \"'])no|not(?![ \t]+(?:only|just|merely)\b)|never|neither|nor|cannot|without"
    r"|instead[ \t]+of|rather[ \t]+than|unlike|compared[ \t]+(?:with|to))|n['\u2019]t"
)
_REACHED_OVER = (
    r"(?:use[ds]?|using|train(?:ed|ing)?|fine-?tun(?:e|ed|ing)|tr(?:y|ied)|want(?:ed)?|need|run|cho(?:ose|osing|se)"
    r"|pick|select|take|employ|apply|consider|evaluated?|be|is|like|longer|the|an?|any|our|this|that|on|with|to|of|by|in"
    r"|as|for|prior|previous|earlier|works?|results?|baselines?|model|network|backbone|architecture"
    r"|dataset|data|optimi[sz]er|scheduler|schedule|either"
    r"|[\w./-]+[ \t]+n?or)"
)
_GAP = r"[ \t\"'`*(]{1,4}"
_NEGATED = re.compile(
    rf"(?:{_NOT})(?:{_GAP}{_REACHED_OVER}){{0,5}}(?:{_GAP}(?:the|an?|any|our)[ \t]+\w+)?{_GAP}$",
    re.IGNORECASE,
)

_LINK = r"(?:[ \t:=(_\"'{\[-]|:\n(?=[ \t])){1,9}"
_OTHER = r"(?P<other>warm(?:ing)?[ _-]?up|patience|improv(?:e|es|ed|ing|ement))"
_BEHIND_OTHER = re.compile(
    rf"{_OTHER}(?:{_LINK}(?!(?:and|then|train\w*|epochs?)(?![a-z]))[a-z]+){{0,4}}{_LINK}$",
    re.IGNORECASE,
)
_BEFORE_OTHER = re.compile(
    r"[ \t(-]{1,3}(?:(?!(?:and|then|plus|with|without|using|incl\w*|after|before|on|for|at|to|until)\b)"
    rf"[a-z]+[ \t-]){{0,3}}{_OTHER}",
    re.IGNORECASE,
)
_PART = re.compile(
    r"(?<![\w-])(?P<part>every|each|first|last|final|next|another|after|at|until|from|before|since|by)"
    r"(?:[ \t]+the)?[ \t]{1,3}$",
    re.IGNORECASE,
)


def negated(text: str, position: int) -> str:
    """Why a name that starts at a position is not meant; empty where it is."""
    return "negated" if _NEGATED.search(_left(text, position)) else ""


def not_the_run(text: str, epochs: re.Match[str]) -> str:
    """Why a number of epochs, with or without a `key` in front of it, is not the length of the run; empty if it is."""
    other = _BEHIND_OTHER.search(_left(text, epochs.start()))
    if other is None and not epochs.groupdict().get("key"):
        other = _BEFORE_OTHER.match(text, epochs.end(), epochs.end() + _NEAR)
    if other is not None:
        return f"it belongs to '{other['other']}', not to the run"
    start = epochs.start("key" if epochs.groupdict().get("key") else "number")
    part = _PART.search(_left(text, start))
    return f"'{part['part']}' makes it no length of the run" if part else ""


def _left(text: str, position: int) -> str:
    return text[max(0, position - _NEAR) : position]
