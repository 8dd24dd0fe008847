"""Versions of the files that datasets read: what was learned from, to the byte.

A version is a manifest: the path, the size and the sha256 of every file, and one number that stands for all of them,
the root of a Merkle tree. Files stay where they are, in a folder or behind a URL, unless they are copied into a store.
"""
