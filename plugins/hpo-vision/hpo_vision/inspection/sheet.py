"""Samples of each class on one picture, for a person to look at: what the training part shows, and how much of it."""

from __future__ import annotations

from PIL import Image, ImageDraw

from hpo_core import Dataset
from hpo_vision.datasets.walk import images

SAMPLES = 8
CELL = 64  # pixels of an image, whatever its size
NAME = 200  # pixels for the class's name
BAR = 240  # pixels of the bar of the largest class
CLASSES = 200  # rows at most


def sheet(dataset: Dataset) -> Image.Image:
    """A row for each class: its name, how many images there are to train on, as a bar too, and the first of them."""
    names = dataset.classes[:CLASSES]
    counts = [0] * len(dataset.classes)
    page = Image.new("RGB", (NAME + BAR + SAMPLES * (CELL + 2), len(names) * (CELL + 2)), "white")
    for seen in images(dataset, "train"):
        if seen.picture is not None and seen.label < len(names) and counts[seen.label] < SAMPLES:
            sample = seen.picture.convert("RGB").resize((CELL, CELL), Image.Resampling.NEAREST)
            page.paste(
                sample, (NAME + BAR + counts[seen.label] * (CELL + 2), seen.label * (CELL + 2))
            )
        counts[seen.label] += 1
    pen = ImageDraw.Draw(page)
    for label, name in enumerate(names):
        top, length = label * (CELL + 2), (BAR - 60) * counts[label] / max(*counts, 1)
        pen.text((4, top + CELL / 2), name or "''", "black", anchor="lm", font_size=14)
        pen.rectangle((NAME, top + 20, NAME + length, top + CELL - 20), "steelblue")
        pen.text((NAME + length + 4, top + CELL / 2), str(counts[label]), "black", anchor="lm")
    return page
