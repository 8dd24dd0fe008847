"""What a text may mean by the name of each component of a study, in the order in which it is believed.

Of names first what a keyword names (`model: NAME`), then what is just mentioned; for a model `model_NAME <<<ACTIVE>>>`
and then `model_NAME` come before that. Of equal ones the part of the text decides first
(`hpo_core.extraction.sources`), then what comes first. What its context takes back (`hpo_core.extraction.asides`) comes
last and is never taken. Numbers are in `hpo_core.extraction.numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hpo_core.extraction.asides import negated
from hpo_core.extraction.phrases import Phrase, phrases
from hpo_core.extraction.sources import SOURCES, Parts
from hpo_core.extraction.vocabulary import MOST_WORDS, Vocabulary

_ACTIVE = re.compile(
    r"(?<!\w)model_(?P<name>[A-Za-z0-9][\w./-]*)[ \t]*<<<[ \t]*ACTIVE[ \t]*>>>", re.IGNORECASE
)
_PREFIXED = re.compile(r"(?<!\w)model_(?P<name>[A-Za-z0-9][\w./-]*)")
_NOT_PREFIXED = frozenset(
    ["name", "type", "id", "path", "config", "configs", "file", "size", "kwargs"]
)

_KEYS = {
    "model": r"model(?:[ _-]?name)?|architecture|backbone|network|nn",
    "dataset": r"data[ _-]?set(?:[ _-]?name)?|data",
    "lr_scheduler": r"(?:(?:lr|learning[ _-]?rate)[ _-]?)?schedul(?:er|e)(?:[ _-]?(?:type|name))?",
    "optimizer": r"optimi[sz]er(?:[ _-]?(?:type|name))?",
}
_SEPARATOR = r"[\"'\]`*)]{0,3}[ \t]*(?P<sign>[:=]|->|\bis\b|\bof\b)[ \t]*"
_NAMED = (
    r"(?:[{(\[]\s{0,9}[\"']?name[\"']?\s{0,9}[:=]\s{0,9})?[\"'`*(]{0,3}"
    r"(?P<name>[A-Za-z0-9][\w./+-]*(?:[ ][A-Za-z0-9][\w.+-]*){0,2})"
)
_KEYED = {
    field: re.compile(rf"(?<![\w-])(?:{key})(?![\w-]){_SEPARATOR}{_NAMED}", re.IGNORECASE)
    for field, key in _KEYS.items()
}
_NOUNS = {
    "model": {"model", "network", "backbone", "architecture"},
    "dataset": {"dataset", "data", "images"},
    "lr_scheduler": {
        *("scheduler", "schedule", "schedules", "annealing", "decay", "policy"),
        *("lr", "learning"),  # a cosine learning rate
    },
    "optimizer": {"optimizer", "optimiser"},
}
_BEFORE = {
    "model": {"a", "an", "the", "train", "model", "of"},
    "dataset": {"on", "dataset"},
    "lr_scheduler": set[str](),
    "optimizer": {"with", "using", "by", "use", "optimizer"},
}

_TOKEN = re.compile(r"[A-Za-z0-9][\w/+]*(?:[.-][\w/+]+)*")


@dataclass(frozen=True, order=True)
class Candidate:
    """One thing that a text may mean, `written` like that. Ordered by how far it is believed, most first.

    `meant` is the name in the catalog or the number as it is written; None for a name that nobody offers. `aside` is
    why it must not be taken.
    """

    rank: tuple[int, ...]
    position: int
    written: str
    meant: str | None
    how: str
    source: str
    doubted: bool = False  # it may be no name at all: prose
    aside: str = ""


def names(field: str, text: str, parts: Parts, known: Vocabulary) -> list[Candidate]:
    """What the text may mean by a component, the likeliest first."""
    found = list(_marked(text, parts, known)) if field == "model" else []
    said = {each.start: each for each in phrases(text, known)} if field == "lr_scheduler" else {}
    found += _keyed(field, text, parts, known, said)
    taken = {each.position for each in found}
    mentioned = _mentioned(field, text, parts, known, said)
    return sorted([*found, *(each for each in mentioned if each.position not in taken)])


def rule(written: str) -> str:
    """The rule behind what stands right of a keyword, which is `written` with the signs around it."""
    key = re.search(r"\w[\w -]*\w|\w", written)
    return f"named by '{key.group()}'" if key else "mentioned"


def _candidate(
    parts: Parts,
    how_sure: int,
    where: int,
    written: str,
    meant: str | None,
    how: str,
    doubted: bool,
    aside: str = "",
) -> Candidate:
    source = parts.rank(where)
    rank = (bool(aside), how_sure, source, where)
    return Candidate(rank, where, written, meant, how, SOURCES[source], doubted, aside)


def _keyed(
    field: str, text: str, parts: Parts, known: Vocabulary, said: dict[int, Phrase]
) -> Iterator[Candidate]:
    """Names behind a keyword."""
    for match in _KEYED[field].finditer(text):
        where = match.start("name")
        phrase = said.get(where)
        written, meant = (
            (phrase.written, phrase.meant) if phrase else _longest(match["name"], known)
        )
        key = rule(match.group()[: match.start("sign") - match.start()])
        doubted = match["sign"] not in (":", "=", "->")
        aside = negated(text, where) or negated(text, match.start())
        yield _candidate(parts, 2, where, written, meant, key, doubted, aside)


def _marked(text: str, parts: Parts, known: Vocabulary) -> Iterator[Candidate]:
    """Models with the prefix: the one that is marked ACTIVE first."""
    for sure, pattern, how in ((0, _ACTIVE, "marked ACTIVE"), (1, _PREFIXED, "by its prefix")):
        for match in pattern.finditer(text):
            written = match["name"].rstrip("./-")
            if written.lower() not in _NOT_PREFIXED or sure == 0:
                meant = known.name(written)
                where = match.start("name")
                aside = negated(text, match.start()) if sure else ""
                yield _candidate(parts, sure, where, written, meant, how, sure > 0, aside)


def _longest(words: str, known: Vocabulary) -> tuple[str, str | None]:
    """As many of the words as are a name, else the first one."""
    split = words.split(" ")
    for size in range(len(split), 0, -1):
        written = " ".join(split[:size]).rstrip("./-+")
        if (meant := known.name(written)) is not None:
            return written, meant
    return split[0].rstrip("./-+"), None


def _mentioned(
    field: str, text: str, parts: Parts, known: Vocabulary, said: dict[int, Phrase]
) -> Iterator[Candidate]:
    """Names in running text, where what stands beside them or how they are written says that they are names."""
    tokens = list(_TOKEN.finditer(text))
    index = 0
    while index < len(tokens):
        start = tokens[index].start()
        found = said.get(start) or _at(field, text, tokens, index, known)
        if found is None:
            index += 1
            continue
        aside = negated(text, start)
        yield _candidate(parts, 3, start, found.written, found.meant, "mentioned", True, aside)
        while index < len(tokens) and tokens[index].start() < start + len(found.written):
            index += 1


def _at(
    field: str, text: str, tokens: list[re.Match[str]], index: int, known: Vocabulary
) -> Phrase | None:
    """The longest name that begins with a token."""
    before = tokens[index - 1].group().lower() if index else ""
    start = tokens[index].start()
    for size in range(min(MOST_WORDS, len(tokens) - index), 0, -1):
        written = text[start : tokens[index + size - 1].end()]
        if len(written) >= 80 or "\n" in written:
            continue
        meant = known.name(written, in_prose=True)
        behind = tokens[index + size].group().lower() if index + size < len(tokens) else ""
        if meant is not None and _is_name(field, written, before, behind):
            return Phrase(start, written, meant)
    return None


def _is_name(field: str, written: str, before: str, behind: str) -> bool:
    """Whether a word that is also a name is meant as one: `step`, `focus` and `digits` are English, too."""
    if behind in _NOUNS[field]:
        return True
    odd = any(char.isdigit() or char.isupper() for char in written)
    if field in ("dataset", "optimizer"):
        fits = before in _BEFORE[field] and (odd or field == "dataset")
        return fits or _coined(written)
    if field == "lr_scheduler":
        return _coined(written) or written.lower() in ("onecycle", "one-cycle")
    return odd or len(written) > 4 or before in _BEFORE[field]


def _coined(written: str) -> bool:
    """Whether nobody would write a word like that in a sentence: `A0_013`, `OneCycleLR`, `one-cycle`."""
    inner = any(char.isupper() for char in written[1:]) and any(map(str.islower, written))
    return inner or any(char.isdigit() or char in "_/" for char in written)
