"""`jsonl` and `csv`: rows become images, every wrong line is named, nothing outside of the folder is read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar

import pytest
from drawn_files import annotate, annotated, row, save
from hpo_vision.datasets._annotations import LONGEST, find, read
from hpo_vision.datasets.rows import Complaints

from hpo_core.testing.training import DatasetContract, built


def jsonl(root: Path, **options: Any) -> Any:
    return built("datasets", {"name": "jsonl", "path": str(root), "image_size": 4, **options}, 1)


def problems(root: Path, **options: Any) -> str:
    with pytest.raises(ValueError, match="these lines are wrong") as raised:
        jsonl(root, **options)
    return str(raised.value)


class TestJsonl(DatasetContract):
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        type(self).component = {
            "name": "jsonl",
            "path": str(annotated(tmp_path, ("", "10", "2"))),
            "image_size": 8,
            "batch_size": 4,
            "groups": {"numbers": ["10", "2"]},
            "label_changing": ["flip"],
        }

    def test_classes_are_sorted_as_text(self) -> None:
        data = built("datasets", self.component, 1)
        assert data.classes == ("", "10", "2") and data.groups == {"numbers": ("10", "2")}


class TestUndividedJsonl(DatasetContract):
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        """Annotations in several folders, one of them with an image that has two rows."""
        for place, name in enumerate(("first", "second/deep")):
            rows = [
                row(save(tmp_path / name, f"{number}.png", place * 100 + number), "ab"[number % 2])
                for number in range(12)
            ]
            annotate(tmp_path / name, [*rows, {**rows[0], "suffix": "b"}])
        type(self).component = {
            "name": "jsonl",
            "path": str(tmp_path),
            "image_size": 8,
            "batch_size": 4,
            "val_fraction": 0.25,
            "test_fraction": 0.25,
        }

    def test_rows_are_merged_and_an_image_stays_in_one_part(self) -> None:
        data = built("datasets", self.component, 1)
        files = {
            part: {data.pictures.name(index) for index in data.parts[part]} for part in data.parts
        }
        assert sum(len(indices) for indices in data.parts.values()) == 26  # rows
        assert sum(map(len, files.values())) == len(set().union(*files.values())) == 24  # images


def test_unknown_labels_and_repeated_rows_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotated(tmp_path, ("1", "2"))
    test = tmp_path / "test"
    lines = (test / "annotations.jsonl").read_text().splitlines()
    annotate(
        test,
        [
            *lines,
            lines[0],
            row("images/1.png", "77"),
            row("images/2.png", "77"),
            row("images/3.png", "8"),
        ],
    )
    with caplog.at_level(logging.WARNING):
        data = jsonl(tmp_path)
    assert data.classes == ("1", "2") and len(data.parts["test"]) == 6
    assert data.remarks == (
        "test: left out 1 row that said what another had said, first test/annotations.jsonl:7",
        "test: 3 images with several labels, counted once for each",
        "test: left out 3 rows with labels that train does not have: '77' (2), '8' (1)",
    )
    assert [record.message.partition(": ")[2] for record in caplog.records] == list(data.remarks)


def test_a_part_of_unknown_labels_is_refused(tmp_path: Path) -> None:
    annotated(tmp_path, ("1", "2"), parts=("train",))
    annotated(tmp_path, ("3",), parts=("val",))
    with pytest.raises(ValueError, match="the part val is empty"):
        jsonl(tmp_path)


WRONG = {
    '{"image": "images/0.png"': "no JSON at column 25: Expecting ',' delimiter",
    "[]": "an object is needed, {...}, not a list",
    '{"image": "images/0.png"}': "there is no 'suffix'",
    '{"image": "images/0.png", "sufix": "1"}': "there is no 'suffix' - is it 'sufix'?",
    '{"image": "images/0.png", "suffix": 10}': "'suffix' must be text in quotes, not a number",
    '{"image": "images/0.png", "suffix": null}': "'suffix' must be text in quotes, not null",
    '{"image": "images/0.png", "suffix": "\\ud800"}': "'suffix' has half a character",
    '{"image": "images/0.png", "suffix": "1", "metadata": []}': "'metadata' must be an object",
    '{"image": "images/99.png", "suffix": "1"}': "there is no image 'images/99.png': no such file",
    '{"image": "/etc/hostname", "suffix": "1"}': "'/etc/hostname' is absolute",
    '{"image": "images/../../../x.png", "suffix": "1"}': "has '..'",
    '{"image": "images", "suffix": "1"}': "the image 'images' is no file",
    '{"image": "", "suffix": "1"}': "the image has no name",
    '{"image": "a\\u0000b", "suffix": "1"}': "zero byte",
    '{"image": "linked.png", "suffix": "1"}': "'linked.png' is a link that leads out",
    '{"image": "away/secret.png", "suffix": "1"}': "'away/secret.png' is a link that leads out",
    '{"image": "loop.png", "suffix": "1"}': "there is no image 'loop.png': too many levels",
    "[" * 100_000: "nested too deeply",
}


def test_every_wrong_line_is_named_at_once(tmp_path: Path) -> None:
    root, outside = annotated(tmp_path / "set", ("1", "2")), tmp_path / "outside"
    save(outside, "secret.png", 1)
    train = root / "train"
    (train / "linked.png").symlink_to(outside / "secret.png")
    (train / "away").symlink_to(outside)
    (train / "loop.png").symlink_to(train / "loop.png")
    good = (train / "annotations.jsonl").read_text().splitlines()
    annotate(train, [*good, "", *WRONG])
    told = problems(root)
    for number, what in enumerate(WRONG.values(), len(good) + 2):
        assert f"train/annotations.jsonl:{number}: " in told
        line = next(line for line in told.splitlines() if f"annotations.jsonl:{number}: " in line)
        assert what in line, (line, what)
    assert len(told.splitlines()) == 1 + len(WRONG)


def test_links_inside_are_followed(tmp_path: Path) -> None:
    annotated(tmp_path, ("1", "2"))
    (tmp_path / "train" / "again.png").symlink_to(tmp_path / "train" / "images" / "0.png")
    lines = (tmp_path / "train" / "annotations.jsonl").read_text().splitlines()
    annotate(tmp_path / "train", [*lines, row("again.png", "1")])
    assert "said what another had said" in jsonl(tmp_path).remarks[0]  # the same file, once


def test_many_wrong_lines_are_cut_short(tmp_path: Path) -> None:
    annotated(tmp_path, ("1", "2"))
    annotate(tmp_path / "val", ["nonsense"] * 50)
    assert problems(tmp_path).endswith("... and 30 more")


def test_bytes_that_are_no_text_and_endless_lines_are_named(tmp_path: Path) -> None:
    annotated(tmp_path, ("1", "2"))
    file = tmp_path / "train" / "annotations.jsonl"
    file.write_bytes(
        b"\xef\xbb\xbf" + file.read_bytes() + b'{"image": "\xff"}\n' + b"x" * (LONGEST + 2)
    )
    told = problems(tmp_path)
    assert "train/annotations.jsonl:7: byte 12 is not UTF-8" in told
    assert "train/annotations.jsonl:8: the line is longer than 1,048,576 bytes" in told


def test_rows_are_read_as_they_come(tmp_path: Path) -> None:
    """Before the end of the file is reached: a wrong line after the first row has not been seen yet."""
    annotate(tmp_path, [row(save(tmp_path, "0.png", 0), "1", metadata={"border": True}), "wrong"])
    complaints = Complaints("test")
    rows = read(tmp_path, tmp_path, complaints)
    first = next(rows)
    assert (first.label, first.place, first.metadata) == (
        "1",
        "annotations.jsonl:1",
        {"border": True},
    )
    assert not complaints.texts and list(rows) == [] and len(complaints.texts) == 1


def test_missing_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no annotations\.jsonl in or below"):
        jsonl(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        jsonl(tmp_path / "nowhere")


def test_other_keys(tmp_path: Path) -> None:
    rows = [
        {"file": save(tmp_path, f"{number}.png", number), "digit": str(number % 2)}
        for number in range(20)
    ]
    annotate(tmp_path, rows)
    data = jsonl(tmp_path, image_key="file", label_key="digit")
    assert data.classes == ("0", "1")
    assert find(str(tmp_path), 0.15, 0.15, 0, "file", "digit").classes == ("0", "1")


# csv


def table(root: Path, lines: list[str], name: str = "labels.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")
    return root / name


def images(root: Path, count: int) -> list[str]:
    return [save(root, f"images/{number}.png", number) for number in range(count)]


class TestCsv(DatasetContract):
    component: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        rows = [f"{name},{'ab'[i % 2]}" for i, name in enumerate(images(tmp_path, 24))]
        path = table(tmp_path, ["image,label", *rows])
        type(self).component = {
            "name": "csv",
            "path": str(path),
            "image_size": 8,
            "batch_size": 4,
            "val_fraction": 0.25,
            "test_fraction": 0.25,
        }


def test_a_table_may_have_parts_and_other_names(tmp_path: Path) -> None:
    parts = ["train"] * 4 + ["val"] * 3 + ["test"] * 2
    rows = [
        f'{part},"x,{number % 2}",{name}'
        for number, (part, name) in enumerate(zip(parts, images(tmp_path, 9), strict=True))
    ]
    path = table(tmp_path, ["split,what,file", *rows])
    tree = {
        "name": "csv",
        "path": str(path),
        "image_column": "file",
        "label_column": "what",
        "part_column": "split",
    }
    data = built("datasets", tree, 1)
    assert data.classes == ("x,0", "x,1")
    assert {part: len(indices) for part, indices in data.parts.items()} == {
        "train": 4,
        "val": 3,
        "test": 2,
    }


def test_every_wrong_row_is_named_at_once(tmp_path: Path) -> None:
    names = images(tmp_path, 4)
    rows = [
        f"{names[0]},a,train",
        f"{names[1]},a",
        "nowhere.png,a,train",
        f"{names[2]},a,training",
        f'"{names[3]}","a\nb",val',
        "../x.png,a,val",
    ]
    path = table(tmp_path, ["image,label,part", *rows])
    with pytest.raises(ValueError, match="these lines are wrong") as raised:
        built("datasets", {"name": "csv", "path": str(path)}, 1)
    assert [line.strip() for line in str(raised.value).splitlines()[1:]] == [
        "labels.csv:3: 2 cells, but the first line names 3 columns",
        "labels.csv:4: there is no image 'nowhere.png': no such file or directory",
        "labels.csv:5: the part must be train, val, test, not 'training'",
        "labels.csv:8: the image's path must stay below the dataset's folder: '../x.png' has '..'",
    ]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("imag,label", r"no column 'image' in \['imag', 'label'\] - is it 'imag'\?"),
        ("image,label,label", "the column 'label' is there twice"),
        ("", "no column 'image'"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, header: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        built("datasets", {"name": "csv", "path": str(table(tmp_path, [header]))}, 1)


def test_a_table_that_is_none_is_said(tmp_path: Path) -> None:
    name = images(tmp_path, 1)[0]
    path = table(tmp_path, ["image,label", f"{name},a", f'{name},"never closed'])
    with pytest.raises(
        ValueError, match=r"labels\.csv:3: no row of a table: unexpected end of data"
    ):
        built("datasets", {"name": "csv", "path": str(path)}, 1)
    (tmp_path / "latin.csv").write_bytes(b"image,label\n" + name.encode() + b",\xe9\n")
    with pytest.raises(ValueError, match=r"latin\.csv:2: byte 14 is not UTF-8"):
        built("datasets", {"name": "csv", "path": str(tmp_path / "latin.csv")}, 1)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        built("datasets", {"name": "csv", "path": str(tmp_path / "nowhere.csv")}, 1)


def test_reading_is_lazy(tmp_path: Path) -> None:
    """No image is opened before a batch is asked for."""
    root = annotated(tmp_path, ("1", "2"))
    for file in root.rglob("*.png"):
        file.write_bytes(b"not an image at all")
    data = jsonl(root)
    with pytest.raises(ValueError, match="is not a readable image"):
        next(iter(data.batches("val")))
