"""Writes the versions that were resolved here into `[tool.uv] constraint-dependencies` of the root's pyproject.toml.

    uv lock --upgrade && uv run python tests/tested_versions.py

`uv.lock` itself names the registry's addresses and is not kept; this list holds names, versions and markers only.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
BEGIN, END = "constraint-dependencies = [\n", "]\n"
EXPORT = "uv export --frozen --no-hashes --no-emit-workspace --all-packages --all-groups --no-header --no-annotate"


def main() -> None:
    """Replace the list between its brackets."""
    printed = subprocess.run(EXPORT.split(), capture_output=True, text=True, check=True).stdout
    lines = [f'  "{line.replace(chr(34), chr(39))}",\n' for line in printed.splitlines() if line]
    text = PYPROJECT.read_text(encoding="utf-8")
    pattern = re.escape(BEGIN) + ".*?" + f"^{re.escape(END)}"
    PYPROJECT.write_text(
        re.sub(
            pattern, lambda _: BEGIN + "".join(lines) + END, text, flags=re.DOTALL | re.MULTILINE
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
