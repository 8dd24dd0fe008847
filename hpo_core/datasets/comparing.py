"""What differs between two versions, or between a version and the files that are there now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from hpo_core.datasets.entries import Entry, Found, each, joined
from hpo_core.datasets.sources import Source, digest
from hpo_core.errors import StoreError


@dataclass(frozen=True)
class Comparison:
    """The paths that differ. A file that was removed and lies elsewhere now, with the same bytes, was `moved`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[tuple[str, str], ...]
    same: int

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo data compare --json`, but for the names of the versions."""
        moved = [{"from": before, "to": after} for before, after in self.moved]
        return asdict(self) | {"moved": moved}


@dataclass(frozen=True)
class Differences:
    """The files that are not as a version has them. `unreadable` are sentences, each with its path; `files` a count."""

    files: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether every file is as it was, and there is no other."""
        return not (self.missing or self.changed or self.extra or self.unreadable)

    def to_json(self) -> dict[str, Any]:
        """The object of `hpo data check --json`, but for the name of the version."""
        return asdict(self)


def compare(first: Iterable[Entry], second: Iterable[Entry]) -> Comparison:
    """What became of the files of a version in another one."""
    added: list[Entry] = []
    removed: list[Entry] = []
    changed: list[str] = []
    same = 0
    for before, after in joined(first, second):
        if before is None or after is None:
            (added if before is None else removed).append(before or after)  # type: ignore[arg-type]
        elif before.sha256 != after.sha256:
            changed.append(before.path)
        else:
            same += 1
    moved = tuple(_moved(removed, added))
    gone, new = {before for before, _ in moved}, {after for _, after in moved}
    return Comparison(
        tuple(entry.path for entry in added if entry.path not in new),
        tuple(entry.path for entry in removed if entry.path not in gone),
        tuple(changed),
        moved,
        same,
    )


def _moved(removed: list[Entry], added: list[Entry]) -> Iterator[tuple[str, str]]:
    """Where removed files lie now, each of the same bytes once."""
    targets: dict[str, list[str]] = {}
    for entry in reversed(added):
        targets.setdefault(entry.sha256, []).append(entry.path)
    for entry in removed:
        if targets.get(entry.sha256):
            yield entry.path, targets[entry.sha256].pop()


def differences(source: Source, entries: Iterable[Entry]) -> Differences:
    """Read every file and compare it with its version. Raises StoreError when the files cannot be listed."""
    missing: list[str] = []
    changed: list[str] = []
    extra: list[str] = []
    unreadable: list[str] = []
    files = 0

    def act(
        pair: tuple[Found | None, Entry | None],
    ) -> tuple[Found | None, Entry | None, str | StoreError | None]:
        found, entry = pair
        if found is None or entry is None or found.size != entry.size:
            return found, entry, None
        try:
            return found, entry, digest(source, found)
        except StoreError as error:
            return found, entry, error

    for found, entry, read in each(act, joined(source.listed(), entries), source.threads):
        files += entry is not None
        if entry is None:
            assert found is not None
            extra.append(found.path)
        elif found is None:
            missing.append(entry.path)
        elif isinstance(read, StoreError):
            unreadable.append(str(read))
        elif read != entry.sha256:
            changed.append(entry.path)
    return Differences(files, tuple(missing), tuple(changed), tuple(extra), tuple(unreadable))
