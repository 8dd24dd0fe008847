"""Pictures as people have them: turned, transparent, of 16 bits, animated, broken; and folders with links and bytes."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from drawn_files import noise
from hpo_vision.datasets._folders import find
from hpo_vision.datasets.pictures import fitted, opened, shown
from PIL import Image

from hpo_core.testing.training import built


def stored(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_picture_is_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees to the right
    found = opened(stored(tmp_path / "x.png", image, exif=turned))
    assert found.size == (2, 4) and found.getpixel((1, 0)) == (255, 255, 255)


def test_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    clear.putpixel((0, 0), (200, 0, 0, 255))
    for mode in ("RGBA", "LA"):
        found = opened(stored(tmp_path / f"{mode}.png", clear.convert(mode)))
        assert found.mode == "RGB" and found.getpixel((1, 1)) == (255, 255, 255)
    assert opened(tmp_path / "RGBA.png").getpixel((0, 0)) == (200, 0, 0)
    index = clear.convert("P")
    index.info["transparency"] = index.getpixel((1, 1))
    assert opened(stored(tmp_path / "p.png", index)).getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = Image.fromarray(np.array([[0, 257 * 128, 65535]], dtype=np.uint16))
    found = opened(stored(tmp_path / "deep.png", deep))
    assert found.mode == "L" and np.asarray(found).tolist() == [[0, 128, 255]]


def test_printers_colours_and_animations(tmp_path: Path) -> None:
    print_colours = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    red = opened(stored(tmp_path / "x.tif", print_colours)).getpixel((0, 0))
    assert red == (255, 0, 0)
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("blue", "red")]
    stored(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:])
    assert opened(tmp_path / "x.gif").getpixel((1, 1)) == (0, 0, 255)


def test_grey_stays_grey(tmp_path: Path) -> None:
    found = opened(stored(tmp_path / "x.png", Image.new("L", (5, 3), 77)))
    assert found.mode == "L"
    assert fitted(found, 3, 2).tolist() == [[[77, 77], [77, 77]]] * 3
    assert fitted(found, 1, 2).shape == (1, 2, 2)


def bomb(path: Path) -> None:
    """A small PNG that says it is of 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def broken(folder: Path) -> dict[str, str]:
    """Files that are no images, and what is said of them."""
    good = folder / "good.png"
    noise(0, 32).save(good)
    (folder / "cut.png").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "text.jpg").write_bytes(b"this is no image")
    (folder / "empty.png").touch()
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    bomb(folder / "bomb.png")
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(folder / "fractions.tif")
    Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)).save(folder / "deep.tif")
    good.unlink()
    return {
        "cut.png": "truncated",
        "text.jpg": "no known format",
        "empty.png": "it is empty",
        "loop.png": "too many levels of symbolic links",
        "gone.png": "no such file",
        "pipe.png": "it is no file",
        "bomb.png": "more than 178 megapixels",
        "fractions.tif": "fractions",
        "deep.tif": "more than 16 bits",
    }


def test_broken_files_are_named(tmp_path: Path) -> None:
    for name, what in broken(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name} is not a readable image: .*{what}"):
            opened(tmp_path / name)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A file may be called anything; a class may not, for its name is stored as text."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            noise(number).save(tmp_path / name / f"{number}.png")
    odd = os.fsencode(tmp_path / "cat") + b"/\xff.png"
    with open(odd, "wb") as file:
        file.write(b"no image")
    found = find(str(tmp_path), 0.3, 0.3, 0)
    named = [found.pictures.name(index) for index in range(len(found.labels))]
    assert f"{tmp_path}/cat/\\xff.png" in named
    with pytest.raises(ValueError, match=r"cat/\\xff\.png is not a readable image"):
        found.pictures.picture(named.index(f"{tmp_path}/cat/\\xff.png"))
    os.rename(tmp_path / "dog", os.fsencode(tmp_path) + b"/d\xffg")
    with pytest.raises(ValueError, match=r"d\\xffg is not UTF-8"):
        find(str(tmp_path), 0.3, 0.3, 0)
    assert shown(tmp_path) == str(tmp_path)


def test_links_that_lead_back_up_end(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name / "deep").mkdir(parents=True)
        for number in range(8):
            noise(number).save(tmp_path / name / "deep" / f"{number}.png")
    (tmp_path / "cat" / "deep" / "back").symlink_to(tmp_path / "cat")
    assert len(find(str(tmp_path), 0.3, 0.3, 0).labels) == 16
    shutil.rmtree(tmp_path / "dog" / "deep")
    with pytest.raises(FileNotFoundError, match=r"there is no image \(\.bmp, .*dog"):
        find(str(tmp_path), 0.3, 0.3, 0)


def test_kept_images_are_not_read_again(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            noise(1).save(tmp_path / part / name / "0.png")
    tree = {"name": "image-folder", "path": str(tmp_path)}
    kept, read = (
        built("datasets", {**tree, "keep_in_memory": keep}, 1).batches("val")
        for keep in (True, False)
    )
    assert len(list(kept)) == len(list(read)) == 1
    shutil.rmtree(tmp_path / "val")
    assert len(list(kept)) == 1
    with pytest.raises(ValueError, match="no such file"):
        list(read)
