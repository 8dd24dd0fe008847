"""What `hpo_core` says it exports is what a plugin can import from it."""

from __future__ import annotations

import types

import hpo_core


def test_all_names_every_public_member_and_nothing_else() -> None:
    assert all(getattr(hpo_core, name) for name in hpo_core.__all__)  # some are loaded by this
    public = {
        name
        for name, member in vars(hpo_core).items()
        if not name.startswith("_") and not isinstance(member, types.ModuleType)
    }
    assert public == set(hpo_core.__all__)
    assert hpo_core.__all__ == sorted(hpo_core.__all__, key=_as_ruff_sorts)


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """Constants first, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
