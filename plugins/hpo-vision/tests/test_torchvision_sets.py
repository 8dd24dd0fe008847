"""torchvision's sets: read in their own formats, divided, named; refused where absent or changed."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from fake_sets import CIFAR10, CIFAR20, CIFAR100, EACH, FAKES, cifar10, cifar100, emnist_letters
from hpo_vision.datasets.torchvision_table import OTHERS, SOURCES

from hpo_core.testing.training import DatasetContract, built, checked, installed_catalog


def labels_of(data: Any) -> dict[str, list[int]]:
    return {part: data.batches(part).labels.tolist() for part in ("train", "val", "test")}


@pytest.mark.parametrize("name", FAKES)
def test_reads_a_set_in_its_own_format(tmp_path: Path, name: str) -> None:
    classes = FAKES[name](tmp_path)
    tree = {
        "name": f"torchvision/{name}",
        "root": str(tmp_path),
        "image_size": 12,
        "val_fraction": 0.25,
        "test_fraction": 0.25,
    }
    data = built("datasets", tree, 1)
    assert list(data.classes) == classes and data.shape.classes == len(classes)
    found = labels_of(data)
    for part in found:
        assert set(found[part]) == set(range(len(classes))), part
        batches = list(data.batches(part))
        assert sum(len(images) for images, _ in batches) == len(found[part])
    whole = [
        image.numpy().tobytes()
        for part in found
        for images, _ in data.batches(part)
        for image in images
    ]
    assert len(set(whole)) == len(whole), "an image is in two parts"


def test_images_keep_their_labels(tmp_path: Path) -> None:
    """In the fake MNIST the corner of each 0, and of no other digit for certain, is white."""
    FAKES["MNIST"](tmp_path)
    tree = {"name": "torchvision/MNIST", "root": str(tmp_path), "image_size": 28, "channels": 1}
    data = built("datasets", tree, 1)
    for part in ("train", "val", "test"):
        for images, labels in data.batches(part):
            assert (images[labels == 0][:, 0, 0, 0] == 1).all()
            assert (images[labels != 0][:, 0, 0, 0] < 1).float().mean() > 0.9


class TestMnist(DatasetContract):
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def root(self, tmp_path: Path) -> None:
        FAKES["MNIST"](tmp_path)
        type(self).component = {
            "name": "torchvision/MNIST",
            "root": str(tmp_path),
            "image_size": 28,
            "channels": 1,
            "batch_size": 16,
        }


def test_the_test_part_is_the_set_s_own(tmp_path: Path) -> None:
    FAKES["MNIST"](tmp_path)
    tree = {"name": "torchvision/MNIST", "root": str(tmp_path), "val_fraction": 0.25}
    found = labels_of(built("datasets", tree, 1))
    assert {part: len(labels) for part, labels in found.items()} == {
        "train": 60,
        "val": 20,
        "test": 10 * EACH,
    }


def test_variants_are_checked_and_unused_numbers_are_no_classes(tmp_path: Path) -> None:
    classes = emnist_letters(tmp_path)
    tree = {"name": "torchvision/EMNIST", "variant": "letters", "root": str(tmp_path)}
    data = built("datasets", tree, 1)
    assert list(data.classes) == classes and min(labels_of(data)["train"]) == 0
    with pytest.raises(AssertionError, match="letters"):
        checked("datasets", {**tree, "variant": "leters"})
    with pytest.raises(AssertionError, match="variant"):
        checked("datasets", {"name": "torchvision/MNIST", "variant": "letters"})


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small files in CIFAR's format, whose checksums torchvision is told instead of the published ones."""
    from torchvision import datasets

    for kind, told in (
        (datasets.CIFAR10, cifar10(tmp_path)),
        (datasets.CIFAR100, cifar100(tmp_path)),
    ):
        for name, value in told.items():
            monkeypatch.setattr(kind, name, value)
    return tmp_path


def test_cifar10_knows_that_a_bird_is_an_animal(small_cifar: Path) -> None:
    data = built("datasets", {"name": "cifar10", "root": str(small_cifar)}, 1)
    assert list(data.classes) == CIFAR10
    assert "bird" in data.groups["animals"] and set(data.groups["vehicles"]) == {
        "airplane",
        "automobile",
        "ship",
        "truck",
    }


def test_cifar20_has_the_superclasses(small_cifar: Path) -> None:
    data = built("datasets", {"name": "cifar20", "root": str(small_cifar)}, 1)
    assert list(data.classes) == CIFAR20
    found = labels_of(data)
    assert len(found["test"]) == 100 * EACH and set(found["test"]) == set(range(20))
    assert all(set(members) <= set(CIFAR20) for members in data.groups.values())
    fine = built("datasets", {"name": "torchvision/CIFAR100", "root": str(small_cifar)}, 1)
    assert list(fine.groups) == CIFAR20
    assert sorted(name for members in fine.groups.values() for name in members) == CIFAR100
    trees = [CIFAR100.index(name) for name in CIFAR100 if name.endswith("_tree")]
    numbers = labels_of(fine)["test"]
    found_trees = [label == CIFAR20.index("trees") for label in found["test"]]
    assert [number in trees for number in numbers] == found_trees


def test_a_class_of_no_superclass_is_an_error(
    small_cifar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo_vision.datasets import torchvision_table

    monkeypatch.delitem(torchvision_table.CIFAR20.merged, "trees")
    with pytest.raises(ValueError, match=r"'cifar20'.*maple_tree"):
        built("datasets", {"name": "cifar20", "root": str(small_cifar)}, 1)


class Danger:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["cifar10", "cifar20"])
def test_a_changed_pickle_is_not_opened(small_cifar: Path, tmp_path: Path, name: str) -> None:
    made = tmp_path / "made"
    for file in ("cifar-10-batches-py/data_batch_1", "cifar-100-python/train"):
        (small_cifar / file).write_bytes(pickle.dumps(Danger(made)))
    with pytest.raises(FileNotFoundError, match="not whole"):
        built("datasets", {"name": name, "root": str(small_cifar)}, 1)
    assert not made.exists()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.name))
def test_an_absent_set_says_where_it_was_looked_for(tmp_path: Path, source: Any) -> None:
    tree = {"name": f"torchvision/{source.name}", "root": str(tmp_path / "empty")}
    with pytest.raises(FileNotFoundError) as raised:
        built("datasets", tree, 1)
    assert str(tmp_path / "empty") in str(raised.value) and "`root`" in str(raised.value)
    assert ("`download: true`" in str(raised.value)) is source.downloads
    assert not (tmp_path / "empty").exists()


def test_nothing_is_downloaded_unasked() -> None:
    for source in SOURCES:
        assert checked("datasets", f"torchvision/{source.name}")["download"] is False


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without telling of each."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files, on loopback."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_downloads_when_asked_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a server with small files, whose checksums torchvision is told."""
    from torchvision import datasets

    files, root = tmp_path / "files", tmp_path / "root"
    files.mkdir()
    FAKES["USPS"](files)
    sums = {
        name: hashlib.md5((files / name).read_bytes(), usedforsecurity=False).hexdigest()
        for name in ("usps.bz2", "usps.t.bz2")
    }
    tree = {"name": "torchvision/USPS", "root": str(root)}
    with served(files) as address:
        told = {
            part: [f"{address}/{name}", name, sums[name]]
            for part, name in (("train", "usps.bz2"), ("test", "usps.t.bz2"))
        }
        monkeypatch.setattr(datasets.USPS, "split_list", told)
        with pytest.raises(FileNotFoundError, match="download: true"):
            built("datasets", tree, 1)
        assert len(built("datasets", {**tree, "download": True}, 1).classes) == 10
        (files / "usps.bz2").write_bytes(b"something else")
        with pytest.raises(
            ConnectionError, match=r"'torchvision/USPS' cannot be downloaded into .*other"
        ):
            built("datasets", {**tree, "root": str(tmp_path / "other"), "download": True}, 1)
    assert len(built("datasets", {**tree, "split_seed": 1}, 1).classes) == 10  # it is there now


def test_downloads_where_no_file_can_be_end_at_once() -> None:
    with pytest.raises(FileNotFoundError, match="dataset 'torchvision/USPS' is not in /proc"):
        built("datasets", {"name": "torchvision/USPS", "root": "/proc", "download": True}, 1)


def test_the_table_is_all_that_torchvision_has() -> None:
    from torchvision import datasets

    kinds = {name for name in datasets.__all__ if inspect.isclass(getattr(datasets, name))}
    assert {source.name for source in SOURCES} | OTHERS.keys() == kinds
    assert len({source.name for source in SOURCES}) == len(SOURCES) >= 32


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.name))
def test_the_table_s_arguments_are_torchvision_s(source: Any) -> None:
    from torchvision import datasets

    kind = getattr(datasets, source.name)
    known = {
        name
        for each in kind.__mro__
        if "__init__" in vars(each)
        for name in inspect.signature(each.__init__).parameters
    }
    for variant in source.variants.values():
        assert set(variant) in ({"all"}, {"train", "test"}, {"train", "val", "test"})
        assert all(set(arguments) <= known for arguments in variant.values())


def test_mirrored_digits_are_known_to_be_none() -> None:
    catalog = installed_catalog()
    changes = {
        name: catalog.entry("datasets", name).factory.changed_by({})
        for name in (
            "torchvision/MNIST",
            "torchvision/SVHN",
            "torchvision/GTSRB",
            "cifar10",
            "digits",
        )
    }
    assert "flip" not in changes.pop("cifar10")
    assert all("flip" in each and "rotate" in each for each in changes.values())


def test_broken_images_are_named(tmp_path: Path) -> None:
    FAKES["DTD"](tmp_path)
    (tmp_path / "dtd/dtd/images/woven/woven_13.jpg").write_bytes(b"")
    data = built("datasets", {"name": "torchvision/DTD", "root": str(tmp_path)}, 1)
    with pytest.raises(ValueError, match="torchvision/DTD, image 11 of split=val, partition=1"):
        list(data.batches("val"))
    assert torch.is_tensor(next(iter(data.batches("train")))[0])
