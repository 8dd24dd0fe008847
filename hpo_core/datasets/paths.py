"""Which paths the files of a version may have: any that mean the same to every system and in every list.

A line of a list or a log is one file, and nothing that a list names lies outside of its folder.
"""

from __future__ import annotations

import unicodedata

IGNORED = frozenset(
    (".git", ".hg", ".svn", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints", "__pycache__")
)
"""Files and folders that no dataset reads and that come and go by themselves. All others count, hidden ones too."""


def fault(name: str) -> str | None:
    """What is wrong with a part of a path, or None."""
    if name in ("", ".", ".."):
        return "it leads out of the folder, or nowhere"
    if any(unicodedata.category(char) == "Cc" for char in name):
        return "its name holds a line break or another control character"
    if not _encodes(name):
        return "its name is not UTF-8"
    return None


def fault_of(path: str) -> str | None:
    """What is wrong with a relative path, or None."""
    return next((said for said in map(fault, path.split("/")) if said), None)


def shown(path: str) -> str:
    """A path for people, whatever it holds."""
    return path if path.isprintable() else ascii(path)


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
