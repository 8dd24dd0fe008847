"""The names of timm's models, in a file, since asking timm for them takes seconds.

After another version of timm was tested, write the file anew::

    uv run python -c "from hpo_models import timm_index; timm_index.write()"

A test compares it with the timm that is installed.
"""

from __future__ import annotations

from pathlib import Path

INDEX = Path(__file__).with_name("timm_names.txt")


def names() -> list[str]:
    """The names, sorted. Called once, when the plugin registers its models."""
    return INDEX.read_text(encoding="utf-8").split()


def write() -> None:
    """Write the names that the installed timm knows."""
    import timm

    INDEX.write_text("\n".join(sorted(timm.list_models())) + "\n", encoding="utf-8")
