"""One number for the files of a folder: the root of a Merkle tree (RFC 6962, section 2.1) over them, sorted by path.

A leaf is a file's path, size and sha256, so the root depends on nothing else: not on where the folder lies, on times,
owners or permissions, or on folders without files. The prefixes keep a leaf from passing for a node.
"""

from __future__ import annotations

import hashlib

from hpo_core.datasets.entries import Entry


class Tree:
    """Takes files in the order of their paths; keeps one digest for each level of the tree."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0
        self._full: list[tuple[int, bytes]] = []  # full subtrees from the left: leaves, digest

    def add(self, entry: Entry) -> None:
        """The next file."""
        leaf = b"\0".join((b"", entry.path.encode(), b"%d" % entry.size))
        current = 1, hashlib.sha256(leaf + b"\0" + bytes.fromhex(entry.sha256)).digest()
        while self._full and self._full[-1][0] == current[0]:
            leaves, digest = self._full.pop()
            current = 2 * leaves, _node(digest, current[1])
        self._full.append(current)
        self.files += 1
        self.size += entry.size

    def root(self) -> str:
        """The root over what was added, in hex."""
        if not self._full:
            return hashlib.sha256().hexdigest()
        digest = self._full[-1][1]
        for _, left in reversed(self._full[:-1]):
            digest = _node(left, digest)
        return digest.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
