"""Which files `hpo predict` finds, and what it says of those that are no pictures: each has a row, and none is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_files import noise, save
from hpo_vision.datasets.pictures import decoded
from hpo_vision.prediction.found import Found, Search
from hpo_vision.prediction.predicting import predictions
from hpo_vision.prediction.reading import Reader, quiet
from hpo_vision.prediction.rows import Row
from PIL import Image, ImageFile
from predictors import bomb, brightness, png

MODEL = brightness()
READER = Reader(MODEL.shape, 20_000_000)


def rows(*words: str | Path, batch_size: int = 4, reader: Reader = READER) -> list[Row]:
    found = predictions(MODEL, reader, Search(map(str, words)), batch_size, 2)
    with quiet():
        return [row for batch in found for row in batch]


def paths(*words: str | Path) -> list[str]:
    return [found.path for found in Search(map(str, words))]


def test_folders_are_searched_to_the_ground(tmp_path: Path) -> None:
    for number, name in enumerate(("b/2.png", "b/1.JPG", "a/deep/0.webp", "c.png/3.gif", "z.bmp")):
        save(tmp_path, name.lower(), number)
        (tmp_path / name.lower()).rename(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    search = Search([str(tmp_path)])
    expected = ["a/deep/0.webp", "b/1.JPG", "b/2.png", "c.png/3.gif", "z.bmp"]
    for _ in range(2):  # it may be gone through again
        assert [os.path.relpath(found.path, tmp_path) for found in search] == expected
        assert search.left_out == 1
    assert paths(tmp_path / "notes.txt") == [str(tmp_path / "notes.txt")]  # named: tried


def test_patterns(tmp_path: Path) -> None:
    for number, name in enumerate(("x/2.png", "x/10.png", "y/deep/1.png", "w.png/5.png")):
        save(tmp_path, name, number)
    (tmp_path / "x" / "label.txt").touch()

    def named(pattern: str) -> list[str]:
        return [os.path.relpath(path, tmp_path) for path in paths(tmp_path / pattern)]

    assert named("x/*") == ["x/10.png", "x/2.png", "x/label.txt"]
    assert named("**/*.png") == ["w.png/5.png", "x/10.png", "x/2.png", "y/deep/1.png"]
    assert named("[wy]*") == ["w.png/5.png", "y/deep/1.png"]  # folders: all below them
    assert list(Search([str(tmp_path / "*.gif")])) == [
        Found(str(tmp_path / "*.gif"), "no file is called like that")
    ]
    save(tmp_path, "odd[1].png", 9)
    assert named("odd[1].png") == ["odd[1].png"]  # a file that is there is no pattern


def test_what_is_named_twice_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("x/1.png", "x/y/2.png", "x/y/3.png")):
        save(tmp_path, name, number)
    (tmp_path / "x" / "y" / "notes.txt").touch()
    everything = ["x/1.png", "x/y/2.png", "x/y/3.png"]
    for words in (("x", "x"), ("x", "./x/y/"), ("x", "x/y/2.png"), ("x", "x/*", tmp_path / "x")):
        search = Search(map(str, words))
        for _ in range(2):
            assert [found.path for found in search] == everything, words
            assert search.left_out == 1
    assert paths("./x/y/3.png", "x/y/3.png", "x") == ["./x/y/3.png", *everything[:2]]
    assert paths("none.png", "none.png") == ["none.png"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png", 1)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "link.png").symlink_to(tmp_path / "a" / "1.png")
    assert paths(tmp_path) == [str(tmp_path / "a" / "1.png"), str(tmp_path / "link.png")]


def test_links_in_circles_end_for_patterns(tmp_path: Path) -> None:
    """With two that lead upwards from one folder there are 2^40 ways to a file."""
    save(tmp_path, "a/1.png", 1)
    save(tmp_path, ".thumbnails/2.png", 2)
    for name in ("b", "c"):
        (tmp_path / "a" / name).symlink_to(tmp_path)
    for pattern in ("**/*.png", "**", "a/**/1.png", "**/**/"):
        assert paths(tmp_path / pattern if pattern[-1] != "/" else f"{tmp_path}/{pattern}") == [
            str(tmp_path / "a" / "1.png")
        ]
    assert paths(tmp_path / ".thumb*" / "**") == [str(tmp_path / ".thumbnails" / "2.png")]


def test_folders_deeper_than_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 1200
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    noise(0).save("x.png")
    os.chdir(tmp_path)
    try:
        assert [path[-6:] for path in paths("d")] == ["/x.png"]
    finally:  # what pytest has for it is not made for this
        os.chdir("d/" * depth)
        os.remove("x.png")
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")


def hostile(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files that are no pictures, and what is said of them."""
    good = folder / "good.png"
    noise(0, 32).save(good)
    data = good.read_bytes()
    good.unlink()
    for name, content, said in (
        ("cut.png", data[: len(data) // 2], "truncated"),
        ("head.png", data[:20], "Truncated"),
        ("text.jpg", b"this is no image", "no known format"),
        ("empty.png", b"", "it is empty"),
        ("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known format"),
        ('odd\nname,".png', b"x", "no known format"),
    ):
        (folder / name).write_bytes(content)
        yield folder / name, said
    broken = bytearray(data)
    broken[60:90] = bytes(30)
    (folder / "broken.png").write_bytes(broken)
    yield folder / "broken.png", "broken"
    yield bomb(folder / "bomb.png"), "9000x9000 pixels, which are 81.0 megapixels"
    yield png(folder / "huge.png", 2**31 - 1, 2**31 - 1), "178 megapixels"
    yield png(folder / "long.png", 30_000_000, 1), "30.0 megapixels"
    yield png(folder / "flat.png", 0, 0), ""
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(folder / "fractions.tif")
    yield folder / "fractions.tif", "fractions"
    os.mkfifo(folder / "pipe.png")
    yield folder / "pipe.png", "it is no file"
    (folder / "zero.png").symlink_to("/dev/zero")
    yield folder / "zero.png", "it is no file"
    (folder / "loop.png").symlink_to(folder / "loop.png")
    yield folder / "loop.png", "too many levels of symbolic links"
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    yield folder / "gone.png", "no such file"
    odd = os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")
    Path(odd).write_bytes(b"no image")
    yield Path(odd), "no known format"
    (folder / "folder.png").mkdir()
    save(folder / "folder.png", "in.png", 3)


def test_hostile_files_have_rows_and_harm_no_other(tmp_path: Path) -> None:
    expected = {str(path): said for path, said in hostile(tmp_path)}
    fine = [save(tmp_path, f"fine{number}.png", number) for number in range(7)]
    for batch_size in (1, 3, 64):
        found = {row.path: row for row in rows(tmp_path, batch_size=batch_size)}
        assert len(found) == len(expected) + len(fine) + 1
        for path, said in expected.items():
            assert said in (found.pop(path).error or "none"), path
        assert all(row.label and row.error is None for row in found.values())
    document = next(row for row in rows(tmp_path) if b"\xff" in os.fsencode(row.path)).document()
    assert document == {"path": f"{tmp_path}/\\xff\\xfe.png", "error": "no known format"}


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bomb(tmp_path / "bomb.png").stat().st_size < 10_000

    def load(image: ImageFile.ImageFile) -> None:
        raise AssertionError("its pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    [row] = rows(tmp_path / "bomb.png")
    assert "81.0 megapixels and more than 20 (--max-megapixels)" in (row.error or "")
    [row] = rows(png(tmp_path / "huge.png", 2**31 - 1, 2**31 - 1))  # Pillow's own refusal
    assert row.error == (
        "it has more than 178 megapixels, and no such image is read, whatever --max-megapixels says"
    )


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root everything may be read, so the system's answer is made up."""
    for name in ("a.png", "b.png"):
        save(tmp_path, name, 1)
    save(tmp_path, "closed/c.png", 1)
    open_file, list_folder = os.open, os.listdir

    def refuse(path: str, *given: int) -> int:
        if str(path).endswith("a.png"):
            raise PermissionError(13, "Permission denied")
        return open_file(path, *given)

    def refuse_folder(path: str) -> list[str]:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return list_folder(path)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "listdir", refuse_folder)
    found = {Path(row.path).name: row.error for row in rows(tmp_path)}
    assert found == {"a.png": "permission denied", "b.png": None, "closed": "permission denied"}


def test_a_pipe_in_the_place_of_a_file_makes_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, "x.png", 1)
    status, swapped = os.stat, []

    def swap(path: str, **given: bool) -> os.stat_result:
        found = status(path, **given)
        if str(path).endswith("x.png") and not swapped:
            swapped.append(path)
            os.unlink(path)
            os.mkfifo(path)
        return found

    monkeypatch.setattr(os, "stat", swap)
    with pytest.raises(ValueError, match="it is no file"):
        decoded(str(tmp_path / "x.png"))
    assert swapped


def test_what_people_have_is_read(tmp_path: Path) -> None:
    """Each of these is white, whatever its format, its mode and its name."""
    Image.new("CMYK", (5, 9), (0, 0, 0, 0)).save(tmp_path / "printer.jpg")
    Image.fromarray(np.full((4, 4), 65535, dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (3, 3), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    Image.new("1", (7, 2), 1).save(tmp_path / "bits.png")
    Image.new("RGB", (6, 6), "white").save(tmp_path / "wrong.gif", "JPEG")
    Image.new("P", (4, 4), 0).save(tmp_path / "palette.png", transparency=0)  # black, and clear
    assert {row.label for row in rows(tmp_path)} == {"bright"} and len(rows(tmp_path)) == 8


def test_files_are_read_a_batch_ahead_and_no_more() -> None:
    """However many there are: here they never end."""
    asked: list[str] = []

    def endless() -> Iterator[Found]:
        while True:
            asked.append("x")
            yield Found("x", "it is not there")

    batches = READER.batches(endless(), 10)
    for number in range(1, 5):
        batch = next(batches)
        assert len(batch) <= 20 and len(asked) <= number * 20 + 10
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hpo read")]
