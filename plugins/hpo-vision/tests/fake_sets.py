"""Small sets in torchvision's own formats, written file by file as their publishers lay them out."""

from __future__ import annotations

import bz2
import csv
import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

EACH = 8
"""Images of each class and part."""


def picture(number: int, size: int = 12) -> Image.Image:
    """A picture like no other, by its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    return Image.fromarray(pixels)


def save(path: Path, number: int) -> None:
    """A picture in a file, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number).save(path)


def idx(path: Path, array: Any) -> None:
    """A file of Le Cun's format for matrices of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def grey(count: int, seed: int) -> Any:
    """Grey images (count, 28, 28)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28))


def mnist(root: Path, name: str = "MNIST") -> list[str]:
    """MNIST's four files; the first digit's corner is white."""
    labels = np.arange(10).repeat(EACH)
    for seed, prefix in enumerate(("train", "t10k")):
        images = grey(len(labels), seed)
        images[labels == 0, 0, 0] = 255
        idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", images)
        idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)
    return [
        f"{digit} - {word}"
        for digit, word in enumerate("zero one two three four five six seven eight nine".split())
    ]


def emnist_letters(root: Path) -> list[str]:
    """EMNIST's variant of letters, which are numbered from 1."""
    labels = np.arange(1, 27).repeat(EACH)
    for seed, part in enumerate(("train", "test")):
        stem = root / "EMNIST" / "raw" / f"emnist-letters-{part}"
        idx(stem.with_name(stem.name + "-images-idx3-ubyte"), grey(len(labels), seed))
        idx(stem.with_name(stem.name + "-labels-idx1-ubyte"), labels)
    return list("abcdefghijklmnopqrstuvwxyz")


def usps(root: Path) -> list[str]:
    """Lines of `label 1:value 2:value ...`, from -1 to 1, compressed; labels from 1."""
    source = np.random.default_rng(0)
    for name in ("usps.bz2", "usps.t.bz2"):
        lines = [
            f"{label + 1} "
            + " ".join(f"{i}:{value:.3f}" for i, value in enumerate(source.uniform(-1, 1, 256), 1))
            for label in range(10)
            for _ in range(EACH)
        ]
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    return [str(digit) for digit in range(10)]


def gtsrb(root: Path) -> list[str]:
    """Folders of PPM to train on; test has one folder and a table with semicolons."""
    base = root / "gtsrb"
    rows = []
    for label in range(43):
        for number in range(EACH):
            save(
                base / "GTSRB" / "Training" / f"{label:05}" / f"{number}.ppm", label * 100 + number
            )
        name = f"{label:05}.ppm"
        save(base / "GTSRB" / "Final_Test" / "Images" / name, 10_000 + label)
        rows.append({"Filename": name, "ClassId": label})
    with (base / "GT-final_test.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["Filename", "ClassId"], delimiter=";")
        table.writeheader()
        table.writerows(rows)
    return [str(label) for label in range(43)]


def dtd(root: Path) -> list[str]:
    """Three parts of its own, in lists of `class/file`."""
    base = root / "dtd" / "dtd"
    names = ["banded", "woven"]
    for place, part in enumerate(("train", "val", "test")):
        lines = []
        for label, name in enumerate(names):
            for number in range(EACH):
                file = f"{name}/{name}_{place}{number}.jpg"
                save(base / "images" / file, place * 1000 + label * 100 + number)
                lines.append(file)
        (base / "labels").mkdir(exist_ok=True)
        (base / "labels" / f"{part}1.txt").write_text("\n".join(lines) + "\n")
    return names


def food(root: Path) -> list[str]:
    """Lists as JSON."""
    base = root / "food-101"
    names = ["apple_pie", "waffles"]
    (base / "meta").mkdir(parents=True)
    for place, part in enumerate(("train", "test")):
        rows = {name: [f"{name}/{place}{number}" for number in range(EACH)] for name in names}
        (base / "meta" / f"{part}.json").write_text(json.dumps(rows))
        for label, files in enumerate(rows.values()):
            for number, file in enumerate(files):
                save(base / "images" / f"{file}.jpg", place * 1000 + label * 100 + number)
    return names


def folders(*path: str) -> Callable[[Path], list[str]]:
    """A set that is one folder for each class, and not divided."""

    def write(root: Path) -> list[str]:
        for label, name in enumerate(("Forest", "River")):
            for number in range(2 * EACH):
                save(root.joinpath(*path, name, f"{number}.jpg"), label * 100 + number)
        return ["Forest", "River"]

    return write


def imagenette(root: Path) -> list[str]:
    """ImageNet's numbers for names, and a part val that is test here."""
    for place, part in enumerate(("train", "val")):
        for label, name in enumerate(("n01440764", "n03888257")):
            for number in range(EACH):
                save(
                    root / "imagenette2-160" / part / name / f"{number}.jpeg",
                    place * 1000 + label * 100 + number,
                )
    return ["tench, Tinca tinca", "parachute, chute"]


def caltech256(root: Path) -> list[str]:
    """Numbered folders with numbered files."""
    names = ["001.ak47", "002.american-flag"]
    for label, name in enumerate(names):
        for number in range(1, 2 * EACH + 1):
            save(
                root
                / "caltech256"
                / "256_ObjectCategories"
                / name
                / f"{label + 1:03}_{number:04}.jpg",
                label * 100 + number,
            )
    return names


def cars(root: Path) -> list[str]:
    """MATLAB's tables."""
    from scipy.io import savemat

    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    names = ["Acura", "Audi"]
    kind = [("class", "O"), ("fname", "O")]
    for place, (folder, table) in enumerate(
        (
            ("cars_train", "devkit/cars_train_annos.mat"),
            ("cars_test", "cars_test_annos_withlabels.mat"),
        )
    ):
        rows = [(number % 2 + 1, f"{number:05}.jpg") for number in range(2 * EACH)]
        for number, (_, file) in enumerate(rows):
            save(base / folder / file, place * 1000 + number)
        savemat(base / table, {"annotations": np.array(rows, dtype=kind)})
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": np.array(names, dtype=object)})
    return names


FAKES: dict[str, Callable[[Path], list[str]]] = {
    "MNIST": mnist,
    "FashionMNIST": lambda root: (
        mnist(root, "FashionMNIST")
        and [
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ]
    ),
    "USPS": usps,
    "GTSRB": gtsrb,
    "DTD": dtd,
    "Food101": food,
    "EuroSAT": folders("eurosat", "2750"),
    "Imagenette": imagenette,
    "Caltech256": caltech256,
    "StanfordCars": cars,
}
"""Writes a set below a root, and gives the names of its classes."""


def cifar10(root: Path) -> dict[str, Any]:
    """CIFAR-10's pickles; what torchvision expects of them: `train_list`, `test_list`, `meta`."""
    files = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    names = {"label_names": CIFAR10}
    return _cifar(root / "cifar-10-batches-py", files, "labels", "batches.meta", names)


def cifar100(root: Path) -> dict[str, Any]:
    """CIFAR-100's, in the same way."""
    names = {"fine_label_names": CIFAR100}
    return _cifar(root / "cifar-100-python", ["train", "test"], "fine_labels", "meta", names)


def _cifar(
    folder: Path, files: list[str], key: str, meta: str, names: dict[str, list[str]]
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    ((kind, classes),) = names.items()
    known = []
    for seed, name in enumerate(files):
        labels = np.arange(len(classes)).repeat(EACH)
        pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
        known.append([name, _pickled(folder / name, {"data": pixels, key: labels.tolist()})])
    described = {"filename": meta, "key": kind, "md5": _pickled(folder / meta, names)}
    return {"train_list": known[:-1], "test_list": known[-1:], "meta": described}


def _pickled(path: Path, content: Any) -> str:
    data = pickle.dumps(content)
    path.write_bytes(data)
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile "
    "cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp "
    "lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree "
    "orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum "
    "rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider "
    "squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
).split()
CIFAR20 = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things "
    "large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals "
    "non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2"
).split()
