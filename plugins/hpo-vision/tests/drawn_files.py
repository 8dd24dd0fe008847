"""Images in files and annotations of them, as people have them: what tests of datasets read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def noise(seed: int, size: int = 8) -> Image.Image:
    """A picture like no other, by its number."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    return Image.fromarray(pixels)


def save(folder: Path, name: str, seed: int) -> str:
    """A picture in a file below a folder; its name."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    noise(seed).save(folder / name)
    return name


def annotate(folder: Path, rows: Iterable[Any]) -> Path:
    """`annotations.jsonl`, of rows or of lines as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "annotations.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def row(image: str, label: Any, **more: Any) -> dict[str, Any]:
    """A row of annotations."""
    return {"image": image, "suffix": label, "metadata": {}, **more}


def annotated(
    root: Path,
    classes: Iterable[str],
    each: int = 3,
    parts: tuple[str, ...] = ("train", "val", "test"),
) -> Path:
    """A set with parts, `each` images of each class in each."""
    names = list(classes)
    for place, part in enumerate(parts):
        rows = []
        for number in range(len(names) * each):
            name = save(root / part, f"images/{number}.png", place * 10_000 + number)
            rows.append(row(name, names[number % len(names)]))
        annotate(root / part, rows)
    return root
