"""Checkpoints in a store: whole or not there, found out when damaged, deleted, and never another study's.

Each is looked at in a folder, in files behind fsspec (so through the code for stores), and in a bucket of S3.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from object_store import Bucket

from hpo_core import Checkpoint, checkpoints, remote, stores
from hpo_core.addresses import UnavailableError
from hpo_core.checkpoints import DamagedError, delete, fetched, saving_at
from hpo_core.errors import StoreError
from hpo_core.remote import Place
from hpo_core.stores import Disposal, sweep

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    monkeypatch.setattr(remote, "WAITS", (0.0,))


@pytest.fixture(params=["folder", "files", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a study's own folder, with a neighbour whose name begins in the same way."""
    if request.param == "s3":
        found: Bucket = request.getfixturevalue("bucket")
        return f"{found.url}/hpo/study-1"
    scheme = "local://" if request.param == "files" else ""
    return f"{scheme}{tmp_path}/store/study-1"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where an attempt may keep files."""
    return tmp_path / "attempt" / "checkpoints"


def save(address: str, scratch: Path, step: int = 3, text: str = "weights") -> Checkpoint:
    """A checkpoint of two files."""
    made: list[Checkpoint] = []
    with saving_at(address, step, scratch, made.append) as folder:
        (folder / "state.json").write_text(text)
        (folder / "deeper").mkdir()
        (folder / "deeper" / "more.bin").write_bytes(b"\0" * 100)
    return made[0]


def there(address: str) -> list[str]:
    """The files below an address, relative to it."""
    files, path = fsspec.core.url_to_fs(address)
    files.invalidate_cache()
    return sorted(str(Path(each).relative_to(path)) for each in files.find(path))


def change(address: str, how: Callable[[bytes], bytes | None]) -> None:
    """Write a file anew, or delete it."""
    files, path = fsspec.core.url_to_fs(address)
    data = how(files.cat_file(path))
    if data is None:
        files.rm_file(path)
    else:
        files.pipe_file(path, data)


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


# ---- saved and fetched ----


def test_a_checkpoint_comes_back_whole(root: str, scratch: Path) -> None:
    made = save(f"{root}/0000/attempt-1", scratch)
    assert made.path == f"{root}/0000/attempt-1/step-000003"
    assert there(made.path) == ["deeper/more.bin", "manifest.json", "state.json"]
    with fetched(made, scratch) as folder:
        assert (folder / "state.json").read_text() == "weights"
        assert (folder / "deeper" / "more.bin").read_bytes() == b"\0" * 100
    assert not scratch.exists() or list(scratch.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_is_left_by_an_exception_leaves_nothing(
    root: str, scratch: Path, error: type[BaseException]
) -> None:
    seen: list[Checkpoint] = []
    with pytest.raises(error), saving_at(root, 1, scratch, seen.append) as folder:
        (folder / "state.json").write_text("half")
        raise error
    assert not seen and there(root) == []
    assert not scratch.exists() or list(scratch.iterdir()) == []


def test_a_step_that_is_saved_again_replaces_the_first(root: str, scratch: Path) -> None:
    first, second = save(root, scratch, text="one"), save(root, scratch, text="two")
    assert first.path == second.path and first.sha256 != second.sha256
    with fetched(second, scratch) as folder:
        assert (folder / "state.json").read_text() == "two"
    with pytest.raises(DamagedError, match=r"manifest\.json was changed"), fetched(first, scratch):
        pass


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "flipped": ("state.json", flipped, r"state\.json was changed"),
    "flipped deeper": ("deeper/more.bin", flipped, r"more\.bin was changed"),
    "cut": ("state.json", lambda data: data[:1], "has 1 bytes instead of 7"),
    "file gone": ("state.json", lambda _: None, "(?i)no such file"),
    "manifest flipped": ("manifest.json", flipped, r"manifest\.json was changed"),
    "manifest gone": ("manifest.json", lambda _: None, "(?i)no such file"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_found_out(root: str, scratch: Path, how: str) -> None:
    made = save(root, scratch)
    name, harm, said = DAMAGE[how]
    change(f"{made.path}/{name}", harm)
    with pytest.raises(DamagedError, match=said) as caught, fetched(made, scratch):
        pass
    assert made.path in str(caught.value)
    assert not scratch.exists() or list(scratch.iterdir()) == []


def test_references_are_resolved_by_who_uses_them(
    root: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_OF_ALL", root)
    made = save("${env:ROOT_OF_ALL}/0000/attempt-1", scratch)
    assert Path(made.path).name == "step-000003"
    assert there(f"{root}/0000/attempt-1/step-000003")
    stored = Checkpoint(3, "${env:ROOT_OF_ALL}/0000/attempt-1/step-000003", made.sha256)
    with fetched(stored, scratch) as folder:
        assert (folder / "state.json").exists()
    delete(stored)
    assert there(root) == []


# ---- deleted ----


def test_deleting_twice_is_no_error(root: str, scratch: Path) -> None:
    made, other = save(root, scratch, 1), save(root, scratch, 2)
    delete(made)
    delete(made)
    assert {path.split("/")[0] for path in there(root)} == {"step-000002"}
    with fetched(other, scratch):
        pass


def test_a_sweep_takes_what_nobody_needs_and_nothing_of_others(root: str, scratch: Path) -> None:
    needed = save(f"{root}/0000/attempt-1", scratch, 1)
    for step, place in enumerate(("0000/attempt-1", "0000/attempt-2", "0001/attempt-1"), 2):
        save(f"{root}/{place}", scratch, step)
    neighbour = save(f"{root}0/0000/attempt-1", scratch, 1)
    half = save(f"{root}/0001/attempt-1", scratch, 9)
    change(f"{half.path}/manifest.json", lambda _: None)
    spelt = needed.path.replace("store/", "store/../store/").replace("s3://", "s3a://")
    sweep(root, [spelt], lambda number, attempt: (number, attempt) != (0, 2), waits=())
    left = {path[: path.index("step-") + 11] for path in there(root)}
    assert left == {"0000/attempt-1/step-000001", "0000/attempt-2/step-000003"}
    assert there(neighbour.path)


def test_a_disposal_deletes_while_others_go_on(root: str, scratch: Path) -> None:
    made, kept = save(root, scratch, 1), save(root, scratch, 2)
    with Disposal() as disposal:
        disposal(made)
        disposal.settle()
        assert {path.split("/")[0] for path in there(root)} == {"step-000002"}
        disposal(kept)  # it may be used again
    assert there(root) == []


# ---- checked ----


def test_a_store_that_can_be_used_is_left_as_it_was(root: str) -> None:
    stores.check(root)
    assert there(root) == []


def test_a_bucket_that_does_not_exist_is_not_made(bucket: Bucket) -> None:
    with pytest.raises(StoreError, match=r"s3://no-such-bucket/x: cannot write.*does not exist"):
        stores.check("s3://no-such-bucket/x")
    assert [each["Name"] for each in bucket.client.list_buckets()["Buckets"]].count(
        "no-such-bucket"
    ) == 0


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/x: (Not a directory|File exists)"):
        stores.check(f"{tmp_path}/file/x")


def test_a_store_that_is_away_is_not_damage(
    bucket: Bucket, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = save(bucket.url, scratch)
    library = fsspec.get_filesystem_class("s3")
    library.clear_instance_cache()
    monkeypatch.setattr(library, "retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    with pytest.raises(StoreError, match=r"cannot be kept in s3://.*Could not connect"):
        stores.check(bucket.url)
    with pytest.raises(UnavailableError, match=r"read manifest\.json in s3://"):
        with fetched(made, scratch):
            pass
    with pytest.raises(UnavailableError, match=r"delete manifest\.json in s3://"):
        save(bucket.url, scratch)
    assert list(scratch.iterdir()) == []


# ---- tried again ----


class Flaky:
    """The s3fs or local file system under a Place, whose next calls fail."""

    def __init__(self, place: Place, method: str, errors: list[Exception]) -> None:
        self._act = getattr(place._fs, method)
        self._errors = errors
        self.calls = 0

    def __call__(self, *words: Any, **options: Any) -> Any:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return self._act(*words, **options)


@pytest.mark.parametrize(
    ("errors", "raised", "calls"),
    [
        ([ConnectionError("reset")], None, 2),
        ([RuntimeError("a library's own")], None, 2),
        ([ConnectionError("reset")] * 2, UnavailableError, 2),
        ([PermissionError("no right")], UnavailableError, 1),
        ([OSError(errno.ENOSPC, "full")], OSError, 1),
        ([KeyboardInterrupt()], KeyboardInterrupt, 1),
    ],
)
def test_what_passes_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[Exception],
    raised: type[BaseException] | None,
    calls: int,
) -> None:
    place = Place(f"local://{tmp_path}/store", waits=(0.0,))
    flaky = Flaky(place, "pipe_file", list(errors))
    monkeypatch.setattr(place._fs, "pipe_file", flaky)
    if raised is None:
        place.write("a", b"x")
    else:
        with pytest.raises(raised) as caught:
            place.write("a", b"x")
        assert isinstance(caught.value, UnavailableError) == (raised is UnavailableError)
    assert flaky.calls == calls


def test_a_library_that_quotes_a_password_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", f"local://{tmp_path}/hunter22")
    place = Place("${env:STORE}/x", waits=())
    error = ConnectionError(f"cannot reach local://{tmp_path}/hunter22/x as u:hunter22")
    monkeypatch.setattr(place._fs, "pipe_file", Flaky(place, "pipe_file", [error]))
    with pytest.raises(UnavailableError) as caught:
        place.write("a", b"x")
    assert "${env:STORE}/x" in str(caught.value) and caught.value.__suppress_context__


def test_the_manifest_is_sent_last_and_removed_first(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    files = fsspec.filesystem("local")
    for method, at in (("put_file", 1), ("rm_file", 0), ("rm", 0)):
        act = getattr(files, method)

        def noting(
            *words: Any, act: Any = act, method: str = method, at: int = at, **rest: Any
        ) -> Any:
            order.append(f"{method} {Path(words[at]).name}")
            return act(*words, **rest)

        monkeypatch.setattr(files, method, noting)
    made = save(f"local://{tmp_path}/store", scratch)
    assert [each for each in order if each.startswith("put")][-1] == "put_file manifest.json"
    assert order[0] == "rm_file manifest.json"  # of an earlier one of the same step
    order.clear()
    delete(made)
    assert order[0] == "rm_file manifest.json" and order[1] == "rm step-000003"
    assert checkpoints.MANIFEST == "manifest.json"
