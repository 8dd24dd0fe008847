"""What a study's trials learn from: the registered version of the files that their dataset reads.

A dataset that reads files says where they lie (`location`, see `hpo_core.contracts`). Nothing is read to find out which
version they are. They are listed, and only where some version was registered from that very place: names, sizes and
stamps (`hpo_core.datasets.entries`) must be those of the files when a version of them was registered, every one. Then
the trial is recorded with that version's root; otherwise with its dataset's options alone, as one without files is, for
a root that nobody has computed would be a claim, and computing it may take as long as the trial. A place that a version
was registered from and whose files are others by now is a warning, since somebody will want to register them.

The driver looks, once before each trial but never for more than a twentieth of its time; where trials run on other
machines, it is for the cluster to have the same files there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from hpo_core import references
from hpo_core.catalog import Catalog
from hpo_core.datasets import sources
from hpo_core.datasets.sources import Source
from hpo_core.datasets.stamps import Listing
from hpo_core.datasets.usage import ROOT, VERSION
from hpo_core.errors import HpoError, UsageError
from hpo_core.options import options_of
from hpo_core.storage.database import connect
from hpo_core.storage.tables import hpo_dataset_listings, hpo_dataset_versions

SHARE = 20
"""A place is listed again when so many times as long as that took last has passed."""


@dataclass(frozen=True)
class Registered:
    """A version whose files were found."""

    label: str
    root: str


@dataclass
class _Looked:
    found: Registered | None
    at: float
    took: float


class Used:
    """Tells which version a trial learns from. `warn` is told, once, of files that are of no version any more.

    What is registered while a driver runs, it does not know: it asks the database once.
    """

    def __init__(self, engine: Engine, catalog: Catalog, warn: Callable[[str], None]) -> None:
        self._catalog = catalog
        self._warn = warn
        self._listings, self._places = _registered(engine)
        self._looked: dict[str, _Looked] = {}
        self._warned: set[str] = set()

    def __call__(self, objective: str, config: Mapping[str, Any]) -> dict[str, str] | None:
        """What is recorded of the dataset among an objective's options. Called by the driver when a trial starts."""
        if not self._places:
            return None
        try:
            address = self._address(objective, config)
            found = None if address is None else self._version(address)
        except HpoError as error:
            self._say(f"which version of its dataset a trial learns from is not known: {error}")
            return None
        return None if found is None else {ROOT: found.root, VERSION: found.label}

    def _address(self, objective: str, config: Mapping[str, Any]) -> str | None:
        """Where the dataset reads its files from, if it does."""
        factory = self._catalog.entry("objectives", objective).factory
        for option in options_of(factory).values():
            tree = config.get(option.name)
            one = option.kind == "datasets" and not option.many
            if one and isinstance(tree, Mapping) and "name" in tree:  # and is not searched
                dataset = self._catalog.entry("datasets", tree["name"]).factory
                location = getattr(dataset, "location", None)
                given = {key: value for key, value in tree.items() if key != "name"}
                found = None if location is None else location(references.resolve(given))
                return None if found is None else str(found)
        return None

    def _version(self, address: str) -> Registered | None:
        last = self._looked.get(address)
        now = time.monotonic()
        if last is not None and now - last.at < SHARE * last.took:
            return last.found
        found = self._listed_at(address)
        ended = time.monotonic()
        self._looked[address] = _Looked(found, ended, ended - now)
        return found

    def _listed_at(self, address: str) -> Registered | None:
        try:
            source = sources.opened(address)
        except UsageError:  # it is there where the trials run, say
            return None
        return self._listed(source) if source.key in self._places else None

    def _listed(self, source: Source) -> Registered | None:
        listing = Listing(source.key)
        for file in source.listed():
            listing.add(file)
        found = self._listings.get(listing.digest() or "")
        if found is None:
            label = self._places[source.key]
            self._say(
                f"the files in {source.shown} are not those of {label} any more, nor of another version: "
                f"hpo data register {label.partition('@')[0]} {source.shown}"
            )
        return found

    def _say(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            self._warn(sentence)


def _registered(engine: Engine) -> tuple[dict[str, Registered], dict[str, str]]:
    """The versions by listing, and the last one that was registered from each place."""
    table, versions = hpo_dataset_listings, hpo_dataset_versions
    same = (versions.c.name == table.c.name) & (versions.c.version == table.c.version)
    query = select(table, versions.c.root).join(versions, same).order_by(table.c.since)
    with connect(engine) as connection:
        rows = connection.execute(query).all()
    listings = {row.listing: Registered(f"{row.name}@{row.version}", row.root) for row in rows}
    return listings, {row.place: f"{row.name}@{row.version}" for row in rows}
