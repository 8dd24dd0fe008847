"""Logos: the contract, what is disjoint between the parts, that they are the same everywhere, and how hard they are."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from hpo_vision.procedural import colours, drawn, fonts, logo_drawing
from hpo_vision.procedural.chance import chance
from hpo_vision.procedural.logos import logos

from hpo_core import Operation, Part
from hpo_core.testing.training import DatasetContract, built

FEW = {"train_per_class": 3, "val_per_class": 2, "test_per_class": 2}


class TestLogos(DatasetContract):
    component: ClassVar = {"name": "logos", "image_size": 16, "batch_size": 5, **FEW}

    def test_classes_are_balanced_and_alphabetical(self) -> None:
        data = built("datasets", {"name": "logos"}, 1)
        assert data.classes == ("complex", "gradient", "simple", "text")
        counts = {part: data.batches(part).labels.bincount().tolist() for part in data.parts}
        assert counts == {"train": [140] * 4, "val": [40] * 4, "test": [400] * 4}

    def test_trials_do_not_draw_the_test_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        draw = drawn.pixels

        def pixels(of: drawn.DrawnSet, part: Part) -> drawn.Pixels:
            asked.append(part)
            return draw(of, part)

        monkeypatch.setattr(drawn, "pixels", pixels)
        data = built("datasets", self.component, 1)
        for part in ("train", "val"):
            list(data.batches(part))
        assert set(asked) == {"train", "val"}

    def test_trials_share_what_is_drawn(self) -> None:
        before = drawn.pixels.cache_info().misses
        for seed in (1, 2):
            list(built("datasets", self.component | {"draw_seed": 5}, seed).batches("train"))
        assert drawn.pixels.cache_info().misses == before + 1


def image(part: Part, label: int, number: int = 0, seed: int = 0) -> Any:
    """The pixels of one logo."""
    one = drawn.DrawnSet("logos", logo_drawing.CLASSES, logo_drawing.logo, 48, seed, (1, 1, 1))
    return np.asarray(one.image(part, label, number))


def test_each_image_depends_on_its_seed_part_class_and_number() -> None:
    first = image("train", 2)
    assert (image("train", 2) == first).all()
    others = [
        image("train", 2, seed=1),
        image("val", 2),
        image("test", 2),
        image("train", 2, 1),
        image("train", 1),
    ]
    assert all((other != first).any() for other in others)


def test_more_images_change_none_that_there_were() -> None:
    few, more = (
        built("datasets", {"name": "logos", **FEW, "train_per_class": count}, 1) for count in (2, 3)
    )
    for label in range(4):
        ours, theirs = (
            data.load(data.parts["train"][label * count : label * count + 2])
            for data, count in ((few, 2), (more, 3))
        )
        assert ours.equal(theirs)


PROBE = """
import hashlib
from hpo_vision.procedural.chance import chance
from hpo_vision.procedural.logo_drawing import logo
pixels = [logo(chance("a", label, n), label, "val", 48).tobytes() for label in range(4) for n in range(9)]
print(hashlib.sha256(b"".join(pixels)).hexdigest())
"""


def test_another_process_draws_the_same_bytes() -> None:
    here = [
        logo_drawing.logo(chance("a", label, number), label, "val", 48).tobytes()
        for label in range(4)
        for number in range(9)
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=os.environ | {"PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == hashlib.sha256(b"".join(here)).hexdigest()


def test_fonts_and_colours_of_the_test_part_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is listed, and by what is drawn with."""
    for seen, unseen in (
        (fonts.SEEN, fonts.UNSEEN),
        (colours.SEEN, colours.UNSEEN),
        (colours.SEEN_GROUNDS, colours.UNSEEN_GROUNDS),
    ):
        assert not set(seen) & set(unseen)
        assert len(seen) == len(set(seen)) >= 8 and len(unseen) == len(set(unseen)) >= 8
    used: dict[str, set[Any]] = {part: set() for part in get_args(Part)}
    load, contrasting = fonts.font, colours.contrasting
    for part in get_args(Part):

        def font(name: str, size: int, part: str = part) -> Any:
            used[part].add(name)
            return load(name, size)

        def colour(*given: Any, part: str = part, **options: Any) -> Any:
            used[part].add(contrasting(*given, **options))
            return contrasting(*given, **options)

        monkeypatch.setattr(fonts, "font", font)
        monkeypatch.setattr(logo_drawing, "contrasting", colour)
        for number in range(80):
            image(part, 3, number)
    assert len(used["train"] & used["val"]) > 20
    assert not (used["train"] | used["val"]) & used["test"]
    assert {*fonts.SEEN} < used["train"] and {*fonts.UNSEEN} < used["test"]


def test_every_font_has_every_letter() -> None:
    """What a font has not, it shows as the same box."""
    for name in fonts.SEEN + fonts.UNSEEN:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        shown = {bytes(fonts.font(name, 40).getmask(letter)) for letter in letters}
        assert len(shown) == len(letters), name


@pytest.fixture(scope="module")
def sample() -> dict[str, tuple[Any, Any]]:
    """Pixels and labels of each part, fewer than by default."""
    some = drawn.DrawnSet("logos", logo_drawing.CLASSES, logo_drawing.logo, 48, 0, (80, 40, 40))
    return {
        part: (drawn.pixels(some, part), some.labels()[some.indices()[part]])
        for part in drawn.PARTS
    }


def test_they_are_neither_trivial_nor_hopeless(sample: dict[str, Any]) -> None:
    """By a random forest on the pixels; 0.25 is chance."""
    from sklearn.ensemble import RandomForestClassifier

    flat = {part: pixels.reshape(len(pixels), -1) for part, (pixels, _) in sample.items()}
    forest = RandomForestClassifier(40, random_state=0).fit(flat["train"], sample["train"][1])
    for part in ("val", "test"):
        assert 0.35 < forest.score(flat[part], sample[part][1]) < 0.75


def test_backgrounds_do_not_tell_the_class(sample: dict[str, Any]) -> None:
    """Of each class about half are on white."""
    pixels, labels = sample["train"]
    corners = pixels[:, :2, :2].reshape(len(pixels), -1).mean(1)
    for label in range(4):
        assert 0.3 < (corners[labels == label] > 244).mean() < 0.7


def test_materialized_logos_are_read_as_an_image_folder(tmp_path: Path) -> None:
    options = {"image_size": 24, "draw_seed": 3, **FEW}
    logos.materialize(tmp_path / "logos", options)  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["logos"]
    folder = {"name": "image-folder", "path": str(tmp_path / "logos"), "image_size": 24}
    read, ours = built("datasets", folder, 1), built("datasets", {"name": "logos", **options}, 1)
    assert read.classes == ours.classes
    for part in ("train", "val", "test"):
        assert read.parts[part].tolist() == ours.parts[part].tolist()
        assert read.load(read.parts[part]).equal(ours.load(ours.parts[part]))


def test_operations_that_change_labels_are_named() -> None:
    changed = logos.changed_by({})  # type: ignore[attr-defined]
    assert set(changed) == {"flip", "mix", "recolor"} <= set(get_args(Operation))
    assert changed["flip"] == "mirrored letters are no text"
