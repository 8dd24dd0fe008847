"""Sections of a study's note, which optuna-dashboard shows as Markdown.

A note belongs to whoever writes it in the dashboard; of ours are only sections in it, each between two marks that
Markdown does not show. Replacing one leaves the rest as it is. A driver never writes a note through its ledger, and it
writes only attributes that it has changed itself: so a section may be written while a study runs, by another process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, select

from hpo_core.storage.database import upsert
from hpo_core.storage.tables import study_system_attributes as table

_VERSION = "dashboard:note_ver"
_PIECE = "dashboard:note_str:"
_LONGEST = 2045  # characters of a piece, as optuna-dashboard cuts them


def put_section(connection: Connection, study_id: int, section: str, text: str) -> None:
    """Write a section of a study's note, in place of the one of that name; an empty text takes it out."""
    rows = _rows(connection, study_id)
    pieces = sorted(
        (int(key.removeprefix(_PIECE)), value) for key, value in rows.items() if _PIECE in key
    )
    before = "".join(value for _, value in pieces)
    after = _with_section(before, section, text)
    if after == before:
        return
    cut = [after[start : start + _LONGEST] for start in range(0, len(after), _LONGEST)]
    cut += [""] * (len(pieces) - len(cut))
    new = {f"{_PIECE}{index}": piece for index, piece in enumerate(cut)}
    put_attributes(connection, table, study_id, new | {_VERSION: rows.get(_VERSION, 0) + 1})


def put_attributes(
    connection: Connection, attributes: Table, study_id: int, values: Mapping[str, Any]
) -> None:
    """Write attributes of a study, of its users or of the system."""
    insert = upsert(connection)(attributes)
    put = insert.on_conflict_do_update(
        index_elements=["study_id", "key"], set_={"value_json": insert.excluded.value_json}
    )
    rows = [
        {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in values.items()
    ]
    connection.execute(put, rows)


def _rows(connection: Connection, study_id: int) -> dict[str, Any]:
    its = (table.c.study_id == study_id) & table.c.key.startswith("dashboard:note_")
    rows = connection.execute(select(table.c.key, table.c.value_json).where(its))
    return {key: json.loads(text) for key, text in rows}


def _with_section(note: str, section: str, text: str) -> str:
    """A note with a section replaced, or added at its end."""
    start, end = f"[//]: # (hpo: {section})", f"[//]: # (hpo: end of {section})"
    block = f"{start}\n\n{text.strip()}\n\n{end}" if text else ""
    found = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL).search(note)
    if found is not None:
        return f"{note[: found.start()]}{block}{note[found.end() :]}"
    return f"{note.rstrip()}\n\n{block}\n".lstrip() if block else note
