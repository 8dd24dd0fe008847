"""Files as a version has them: the root over them, how they are listed and read, and what cannot be of a version."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from object_store import Bucket

from hpo_core.datasets import local_files, manifest, merkle, remote_files, sources
from hpo_core.datasets.comparing import compare
from hpo_core.datasets.datasets import Datasets
from hpo_core.datasets.entries import Entry, Found, each, joined
from hpo_core.datasets.statistics import statistics
from hpo_core.errors import StoreError, UsageError


def entry(path: str, content: str = "") -> Entry:
    return Entry(path, len(content), hashlib.sha256(content.encode()).hexdigest())


def fill(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def root(entries: list[Entry]) -> str:
    tree = merkle.Tree()
    for each_entry in entries:
        tree.add(each_entry)
    return tree.root()


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    both = by_definition(leaves[:half]) + by_definition(leaves[half:])
    return hashlib.sha256(b"\1" + both).digest()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    entries = [entry(f"{number:02}.png", str(number)) for number in range(count)]
    leaves = [
        hashlib.sha256(
            b"\0%s\0%d\0%s" % (one.path.encode(), one.size, bytes.fromhex(one.sha256))
        ).digest()
        for one in entries
    ]
    assert root(entries) == by_definition(leaves).hex()


def test_every_part_of_a_file_matters_to_the_root() -> None:
    one = [entry("a", "x"), entry("b", "y")]
    others = [
        [entry("a", "x"), entry("c", "y")],
        [entry("a", "x"), entry("b", "z")],
        [entry("a", "y"), entry("b", "x")],
        [entry("a", "x"), Entry("b", 2, one[1].sha256)],
        one[:1],
    ]
    assert len({root(entries) for entries in (one, *others)}) == 6


def test_the_root_is_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    """`a.b` comes before `a/b`: paths are compared and not their parts."""
    contents = {"a__b": "1", "a.b": "2", "a__c__d": "3", "a!": "4", ".hidden": "5"}
    first = fill(tmp_path / "one", **contents)
    second = fill(tmp_path / "else/two", **dict(reversed(contents.items())))
    (second / "empty").mkdir()
    os.chmod(second / "a.b", 0o600)
    found = Datasets.digest(str(first))
    assert found.root == Datasets.digest(str(second)).root
    assert (found.files, found.size, found.read) == (5, 5, 5)
    paths = sorted(contents, key=lambda name: name.replace("__", "/"))
    assert found.root == root([entry(name.replace("__", "/"), contents[name]) for name in paths])


@pytest.mark.parametrize("scheme", ["memory", "local", "s3"])
def test_the_root_is_the_same_behind_any_url(
    scheme: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import fsspec

    contents = {"a__b.txt": "1", "a.b": "", "large": "x" * 70000}
    folder = fill(tmp_path / "data", **contents)
    url = {"memory": f"memory://{tmp_path.name}", "local": f"local://{folder}"}.get(scheme, "")
    if scheme == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        url = f"{bucket.url}/data"
    if scheme != "local":
        for name, content in contents.items():
            with fsspec.open(f"{url}/{name.replace('__', '/')}", "w") as file:
                file.write(content)
    assert Datasets.digest(url).root == Datasets.digest(str(folder)).root


def test_a_large_object_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "BLOCK", 1000)
    folder = fill(tmp_path, large="abc" * 5000)
    source = sources.opened(f"local://{folder}")
    (found,) = source.listed()
    pieces = list(source.chunks(found))
    assert len(pieces) == 15 and b"".join(pieces) == b"abc" * 5000


# ---- what cannot be of a version ----


def refusal(folder: Path) -> str:
    with pytest.raises((StoreError, UsageError)) as error:
        Datasets.digest(str(folder))
    return str(error.value)


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "break": (lambda f: (f / "a\nb").write_text(""), "a\\nb': its name holds a line break"),
    "bytes": (lambda f: (f / os.fsdecode(b"\xff.png")).write_text(""), "its name is not UTF-8"),
    "out": (
        lambda f: (f / "x/link").symlink_to(f.parent),
        "x/link: it is a link that leads out of",
    ),
    "file": (
        lambda f: (f / "link").symlink_to("/etc/hostname"),
        "link: it is a link that leads out",
    ),
    "up": (lambda f: (f / "x/link").symlink_to(f), "x/link: it is a link that leads back up"),
    "nowhere": (lambda f: (f / "link").symlink_to("none"), "link: it is a link that leads nowhere"),
    "pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe: it is neither a file nor a folder"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_of_a_version_is_named(case: str, tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", x__a="1")
    act, said = WRONG[case]
    act(folder)
    assert said in refusal(folder)


def test_links_inside_are_followed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", a__one="1")
    (folder / "b").symlink_to("a")
    (folder / "two").symlink_to("a/one")
    assert [found.path for found in sources.opened(str(folder)).listed()] == [
        "a/one",
        "b/one",
        "two",
    ]


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    fill(tmp_path, file="1")
    (tmp_path / "empty").mkdir()
    assert "file is a file: name its folder" in refusal(tmp_path / "file")
    assert "none is not there" in refusal(tmp_path / "none")
    assert "empty holds no file" in refusal(tmp_path / "empty")
    with pytest.raises(UsageError, match="not there, or holds no file"):
        Datasets.digest("memory://nothing-here")
    with pytest.raises(UsageError, match="a password in an address would be stored"):
        sources.checked("sftp://me:secret@host/data")
    with pytest.raises(UsageError, match="did you mean 'sftp://host/data'"):
        sources.checked("sftpp://host/data")


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, a="1", b="2")

    def refuse(path: Any, *rest: Any, **more: Any) -> Any:
        if str(path) == str(folder / "b"):  # root may read everything
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *rest, **more)

    monkeypatch.setattr(local_files, "open", refuse, raising=False)
    assert refusal(folder) == f"{folder}/b: Permission denied"


def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path, a="1" * 3000, b="2")
    monkeypatch.setattr(local_files, "BLOCK", 1000)
    source = sources.opened(str(folder))
    chunks = source.chunks(next(source.listed()))
    next(chunks)
    (folder / "a").write_text("3" * 3000)
    with pytest.raises(StoreError, match="/a: it changed while it was read"):
        list(chunks)


@pytest.mark.parametrize("change", ["add", "remove", "write"])
def test_a_folder_that_changes_while_it_is_read_is_not_registered(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the file that changed had been read before."""
    folder = fill(tmp_path / "data", a="1", b="2")
    chunks = local_files.LocalFiles.chunks

    def meddle(self: Any, found: Found) -> Iterator[bytes]:
        yield from chunks(self, found)
        if found.path == "b":
            acts = {"add": "aa", "write": "a"}
            (folder / acts[change]).write_text("4") if change in acts else (folder / "a").unlink()

    monkeypatch.setattr(local_files.LocalFiles, "chunks", meddle)
    datasets = Datasets.open(f"sqlite:///{tmp_path}/hpo.db", new=True)
    with pytest.raises(StoreError, match=r"/aa?: it changed while it was read"):
        datasets.create("d", str(folder))
    assert datasets.names() == []
    assert not [path for path in (tmp_path / "datasets").rglob("*")]
    datasets.engine.dispose()


# ---- stamps ----


def test_a_change_that_keeps_size_and_time_has_another_stamp(tmp_path: Path) -> None:
    folder = fill(tmp_path, a="1")
    before = os.stat(folder / "a")
    (first,) = sources.opened(str(folder)).listed()
    (folder / "a").write_text("2")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    (second,) = sources.opened(str(folder)).listed()
    assert first.size == second.size and first.stamp != second.stamp


def test_a_file_that_was_just_written_is_waited_for(tmp_path: Path) -> None:
    """Several times, for a second write need not be within the same tick of the kernel's clock."""
    path = tmp_path / "a"
    for number in range(5):
        path.write_text("1")
        (first,) = sources.opened(str(tmp_path)).listed()
        path.write_text("2")
        assert next(sources.opened(str(tmp_path)).listed()).stamp != first.stamp, number


def test_a_store_that_has_only_times_must_be_old_enough(tmp_path: Path) -> None:
    folder = fill(tmp_path, a="1")
    url = f"local://{folder}"
    (found,) = sources.opened(url).listed()
    assert found.stamp is None
    os.utime(folder / "a", (time.time() - 100,) * 2)
    (found,) = sources.opened(url).listed()
    assert found.stamp is not None and found.stamp.startswith("mtime ")


# ---- lists ----


def test_two_lists_side_by_side() -> None:
    left, right = ([entry(path) for path in text] for text in ("abd", "bce"))
    pairs = [(one and one.path, other and other.path) for one, other in joined(left, right)]
    assert pairs == [("a", None), ("b", "b"), (None, "c"), ("d", None), (None, "e")]
    assert next(joined([], right))[0] is None and not list(joined([], []))


def test_threads_keep_the_order_and_draw_no_more_than_they_need() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10_000):
            drawn.append(number)
            yield number

    results = each(lambda number: -number, items(), threads=3)
    assert [next(results) for _ in range(500)] == [-number for number in range(500)]
    assert len(drawn) <= 576  # three batches
    results.close()  # type: ignore[attr-defined]  # a generator


def test_a_manifest_is_that_of_its_root_or_damaged(tmp_path: Path) -> None:
    entries, path = [entry("a", "1"), entry("b", "2")], tmp_path / "manifest"
    with path.open("wb") as file:
        manifest.begin(file)
        for each_entry in entries:
            manifest.add(file, each_entry)
    assert list(manifest.read(path, root(entries))) == entries
    text = path.read_text()
    for wrong in (
        text.replace('"size":1', '"size":2'),
        text.replace('"a"', '"../a"'),
        text[: text.rindex("{")],
        text[:-9],
        "nonsense",
    ):
        path.write_text(wrong)
        with pytest.raises(StoreError, match=r"manifest is damaged"):
            list(manifest.read(path, root(entries)))


def test_what_differs_between_two_lists() -> None:
    first = [entry("a", "1"), entry("b", "2"), entry("c", "3"), entry("d", "3"), entry("e", "5")]
    second = [entry("a", "1"), entry("b", "x"), entry("f", "3"), entry("g", "5"), entry("h", "5")]
    found = compare(first, second)
    assert (found.added, found.removed, found.changed) == (("h",), ("d",), ("b",))
    assert found.moved == (("c", "f"), ("e", "g")) and found.same == 1


def test_statistics_of_a_list() -> None:
    entries = [entry("a/x.PNG", "123"), entry("a/y.png", "123"), entry("b/c/z", "")]
    found = statistics(entries)
    assert (found.files, found.size, found.smallest, found.median, found.largest) == (3, 6, 0, 3, 3)
    assert (found.repeated, found.saved, found.empty) == (1, 3, 1)
    assert found.kinds == {".png": (2, 6), "": (1, 0)}
    assert found.folders == {"a": (2, 6), "b/c": (1, 0)}
