"""The jerseys on disk, as annotators would have left them: crops, and `annotations.jsonl` in train, val and test.

A row is `{"image": "images/00017.jpg", "suffix": "10", "metadata": {...}}`. Some images have a second row, by somebody
who did not look at borders, and in test there are numbers that no other part has: whoever reads must cope with both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from hpo_core import Part
from hpo_vision.procedural.chance import chance
from hpo_vision.procedural.folders import make_once
from hpo_vision.procedural.jersey_drawing import Crop, crop
from hpo_vision.procedural.jersey_numbers import UNKNOWN, counts

PARTS: tuple[Part, ...] = get_args(Part)
TWICE = 75
"""One image in so many has two rows."""

RECORD = "drawn.json"


@dataclass(frozen=True)
class Jerseys:
    """Which jerseys: `scale` times 257 to 4 images of a number. `version` counts changes of what is drawn."""

    draw_seed: int
    scale: float
    version: int = 1

    def make(self, folder: Path) -> bool:
        """Write them to a folder, which is then there whole, unless they are there; whether they were written.

        Raises ValueError where there is anything else.
        """
        written = make_once(folder, self.write)
        if not written:
            self._check(folder)
        return written

    def write(self, folder: Path) -> None:
        """Fill a folder."""
        for part in PARTS:
            (folder / part / "images").mkdir(parents=True)
            with (folder / part / "annotations.jsonl").open("w", encoding="utf-8") as rows:
                for row in self._rows(folder / part, part):
                    rows.write(json.dumps(row) + "\n")
        (folder / RECORD).write_text(json.dumps({"set": "jerseys", **asdict(self)}) + "\n")

    def _rows(self, folder: Path, part: Part) -> Iterator[dict[str, Any]]:
        """Save the images of a part, in no order of their numbers, and yield their rows."""
        for place, (label, number) in enumerate(self._shuffled(part)):
            drawn = self.crop(part, label, number)
            name = f"images/{place:05}.jpg"
            drawn.picture.save(folder / name, "JPEG", quality=drawn.quality)
            yield {"image": name, "suffix": label, "metadata": drawn.metadata}
            if place % TWICE == TWICE - 1:
                seen = {key: value for key, value in drawn.metadata.items() if key != "border"}
                yield {"image": name, "suffix": label, "metadata": seen}

    def _shuffled(self, part: Part) -> list[tuple[str, int]]:
        images = counts(part, self.scale)
        if part == "test":
            images |= dict.fromkeys(UNKNOWN, 2)
        order = [(label, number) for label in sorted(images) for number in range(images[label])]
        chance("jerseys", self.draw_seed, part, "order").shuffle(order)
        return order

    def crop(self, part: Part, label: str, number: int) -> Crop:
        """One image; it does not depend on how many there are."""
        return crop(chance("jerseys", self.draw_seed, part, label, number), label)

    def _check(self, folder: Path) -> None:
        expected = {"set": "jerseys", **asdict(self)}
        try:
            found = json.loads((folder / RECORD).read_text())
        except (OSError, ValueError):
            found = None
        if found != expected:
            raise ValueError(
                f"dataset 'jerseys': {folder.absolute()} holds {found or 'something else'}, not {expected}: "
                f"give another `path`, or delete it"
            )
