"""Versions of datasets: made, found again, compared, checked, tagged, deleted, copied; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from object_store import Bucket
from test_datasets_files import fill

from hpo_core.datasets import local_files
from hpo_core.datasets.datasets import Datasets
from hpo_core.errors import StoreError, UsageError
from hpo_core.storage.database import connect
from hpo_core.storage.tables import hpo_dataset_versions


@pytest.fixture
def datasets(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Datasets]:
    """An empty catalogue on SQLite and on PostgreSQL."""
    monkeypatch.chdir(tmp_path)  # where a database that is no file has its manifests
    opened = Datasets.open(storage)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def one_file(empty_database: Path, tmp_path: Path) -> Iterator[Datasets]:
    """An empty catalogue on SQLite, where the database does not matter."""
    (tmp_path / "hpo.db").write_bytes(empty_database.read_bytes())
    opened = Datasets.open(f"sqlite:///{tmp_path}/hpo.db")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fill(tmp_path / "data", cat__1="one", cat__2="two", dog__1="three")


def test_files_become_versions(datasets: Datasets, data: Path) -> None:
    first = datasets.create("pets", str(data), made="by hand", recipe={"flip": 0.5})
    assert (first.version.label, first.new, first.read) == ("pets@1", True, 3)
    assert (first.version.files, first.version.size) == (3, 11)
    again = datasets.create("pets", str(data), made="never said")
    assert (again.version, again.new, again.read) == (first.version, False, 0)
    (data / "cat/1").write_text("uno")
    second = datasets.create("pets", str(data))
    assert (second.version.label, second.new, second.read) == ("pets@2", True, 1)
    assert [version.label for version in datasets.versions("pets")] == ["pets@1", "pets@2"]
    assert datasets.latest("pets") == datasets.get("pets") == second.version
    assert datasets.get("pets@1").made == {"text": "by hand", "recipe": {"flip": 0.5}}
    assert second.version.parent == "pets@1" and second.version.root != first.version.root
    assert second.version.root == Datasets.digest(str(data)).root
    (data / "cat/1").write_text("one")  # as it was: the version that it was
    assert datasets.create("pets", str(data)).version == first.version
    assert datasets.names() == ["pets"]


def test_all_is_read_when_asked(one_file: Datasets, data: Path) -> None:
    assert one_file.create("pets", str(data)).read == 3
    assert one_file.create("pets", str(data), full=True).read == 3


def test_what_the_stamps_say_is_never_believed_of_a_content(
    one_file: Datasets, data: Path, tmp_path: Path
) -> None:
    """They are of another place, cut off, or damaged: files are read again, and the root is right."""
    one_file.create("pets", str(data))
    stamps, marks = tmp_path / "datasets/stamps/pets.jsonl", []
    damages: list[Callable[[str], str]] = [
        lambda text: text[:-30],
        lambda text: text.replace('"size":3', '"size":4', 1),
        lambda text: text.replace("cat/2", "cat/3"),
        lambda text: "",
        lambda text: text.replace('"root":"', '"root":"0'),
    ]
    for number, damage in enumerate(damages):
        stamps.write_text(damage(stamps.read_text()))
        (data / "new").write_text(str(number))
        made = one_file.create("pets", str(data))
        assert made.version.root == Datasets.digest(str(data)).root
        marks.append(made.read)
    assert marks == [4, 4, 3, 4, 4]
    other = tmp_path / "other"
    data.rename(other)
    assert one_file.create("pets", str(other)).read == 4


def test_a_damaged_manifest_is_no_source_of_sums(
    one_file: Datasets, data: Path, tmp_path: Path
) -> None:
    made = one_file.create("pets", str(data)).version
    (path,) = (tmp_path / "datasets/manifests").rglob("*.jsonl")
    path.write_text(path.read_text().replace("cat/1", "cat/0"))
    for act in (
        lambda: one_file.statistics("pets"),
        lambda: one_file.verify("pets"),
        lambda: one_file.compare("pets", "pets"),
        lambda: one_file.snapshot("pets"),
    ):
        with pytest.raises(StoreError, match=rf"manifest .*{made.root[2:]}.jsonl is damaged"):
            act()
    assert one_file.create("pets", str(data), full=True).version == made
    assert one_file.statistics("pets").files == 3
    path.unlink()
    with pytest.raises(StoreError, match="there is no manifests/"):
        one_file.statistics("pets")
    assert one_file.create("pets", str(data)).version == made
    assert one_file.statistics("pets").files == 3


def test_what_is_compared(one_file: Datasets, data: Path) -> None:
    one_file.create("pets", str(data))
    (data / "cat/2").rename(data / "dog/two")
    (data / "cat/1").write_text("uno")
    (data / "dog/1").unlink()
    (data / "new").write_text("new")
    one_file.create("pets", str(data))
    found = one_file.compare("pets@1", "pets@2")
    assert found.to_json() == {
        "added": ("new",),
        "removed": ("dog/1",),
        "changed": ("cat/1",),
        "moved": [{"from": "cat/2", "to": "dog/two"}],
        "same": 0,
    }


def test_every_file_that_is_not_as_it_was_is_named(
    one_file: Datasets, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_file.create("pets", str(data))
    assert one_file.verify("pets").none
    (data / "cat/1").write_text("eno")
    (data / "cat/2").write_text("longer")
    (data / "dog/1").unlink()
    (data / "dog/2").write_text("new")
    found = one_file.verify("pets")
    assert (found.changed, found.missing, found.extra) == (
        ("cat/1", "cat/2"),
        ("dog/1",),
        ("dog/2",),
    )
    assert not found.unreadable and found.files == 3 and not found.none

    def fail(self: object, found: object, now: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(local_files.LocalFiles, "_compare", fail)
    assert one_file.verify("pets").unreadable == (f"{data}/cat/1: Permission denied",)


def test_tags_and_references(datasets: Datasets, data: Path) -> None:
    datasets.create("pets", str(data))
    (data / "new").write_text("4")
    datasets.create("pets", str(data))
    assert datasets.tag("pets@1", "clean") == (datasets.get("pets@1"), None)
    assert datasets.get("pets@clean") == datasets.by_tag("pets", "clean") == datasets.get("pets@v1")
    version, before = datasets.tag("pets", "clean")
    assert (version.version, before, datasets.tags("pets")) == (2, 1, {"clean": 2})
    assert datasets.untag("pets", "clean") == 2 and datasets.tags("pets") == {}
    for reference, said in {
        "pest": "did you mean 'pets'",
        "pets@3": "it has 1 to 2",
        "pets@lates": "did you mean 'latest'",
    }.items():
        with pytest.raises(UsageError, match=said):
            datasets.get(reference)
    for word in ("latest", "3", "v3", "a b", "", "-x"):
        with pytest.raises(UsageError, match="cannot be a tag"):
            datasets.tag("pets", word)
    with pytest.raises(UsageError, match="has no tag 'clean'"):
        datasets.untag("pets", "clean")
    with pytest.raises(UsageError, match="no name of a dataset"):
        datasets.create("../pets", str(data))
    with pytest.raises(
        UsageError, match=r"'12' is no name.*so write a letter in it, as in data-12"
    ):
        datasets.create("12", str(data))


def test_a_deleted_version_leaves_its_number(datasets: Datasets, data: Path) -> None:
    datasets.create("pets", str(data))
    (data / "new").write_text("4")
    datasets.create("pets", str(data))
    datasets.tag("pets@2", "clean")
    with pytest.raises(UsageError, match=r"has the tag clean.*hpo data untag pets@clean"):
        datasets.delete("pets@2")
    gone = datasets.delete("pets@2", force=True)
    assert gone.deleted is not None and datasets.tags("pets") == {}
    assert datasets.latest("pets").version == 1
    with pytest.raises(UsageError, match="pets@2 was deleted on "):
        datasets.get("pets@2")
    again = datasets.create("pets", str(data))  # the same files: another version all the same
    assert (again.version.label, again.new, again.version.parent) == ("pets@3", True, "pets@1")
    assert [each.version for each in datasets.versions("pets", deleted=True)] == [1, 2, 3]
    with connect(datasets.engine) as connection:
        roots = [row.root for row in connection.execute(hpo_dataset_versions.select())]
    assert gone.root in roots


def test_lineage(one_file: Datasets, data: Path, tmp_path: Path) -> None:
    one_file.create("raw", str(data), made="scanned")
    (data / "cat/1").unlink()
    one_file.create("clean", str(data), parent="raw", made="without blurred", recipe={"blur": 3})
    (data / "cat/2").unlink()
    one_file.create("clean", str(data))
    found = one_file.lineage("clean")
    assert [each.label for each in found.ancestors] == ["clean@1", "raw@1"]
    assert list(found.lines()) == [
        "clean@2",
        "  clean@1 (without blurred) [blur 3]",
        "    raw@1 (scanned)",
    ]
    one_file.delete("raw@1")
    assert "    raw@1 (scanned) deleted" in list(one_file.lineage("clean").lines())
    assert "made into clean@2" in list(one_file.lineage("clean@1").lines())


def test_copies_are_made_once_and_made_into_a_folder(
    one_file: Datasets, data: Path, tmp_path: Path
) -> None:
    (data / "same").write_text("one")
    first = one_file.create("pets", str(data)).version
    copied = one_file.snapshot("pets")
    assert copied.files == 4 and copied.copied in (3, 4)  # two threads may copy the same bytes
    (store,) = map(Path, one_file.snapshots("pets"))
    objects = sorted((store / "objects").rglob("*/*"))
    assert len(objects) == 3 and {path.read_text() for path in objects} == {"one", "two", "three"}
    assert one_file.snapshot("pets").copied == 0
    (data / "cat/1").write_text("uno")
    one_file.create("pets", str(data))
    assert one_file.snapshot("pets").copied == 1
    assert one_file.restore("pets@1", tmp_path / "first") == 4
    assert Datasets.digest(str(tmp_path / "first")).root == first.root
    with pytest.raises(UsageError, match="first is there already"):
        one_file.restore("pets@2", tmp_path / "first")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not [path for path in store.rglob(".part*")]


def test_a_copy_that_is_not_what_it_is_called_is_refused(
    one_file: Datasets, data: Path, tmp_path: Path
) -> None:
    one_file.create("pets", str(data))
    with pytest.raises(UsageError, match="no copy of pets@1 was made: hpo data snapshot pets@1"):
        one_file.restore("pets", tmp_path / "to")
    one_file.snapshot("pets")
    (copy, *_) = (tmp_path / "datasets/objects").rglob("*/*")
    content = copy.read_bytes()
    copy.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(StoreError, match=rf"objects/.*{copy.name}: it was changed: it is not"):
        one_file.restore("pets", tmp_path / "to")
    copy.unlink()
    with pytest.raises(StoreError, match=rf"there is no objects/.*{copy.name}"):
        one_file.restore("pets", tmp_path / "to")
    assert not (tmp_path / "to").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_file_that_has_changed_is_not_copied_for_another(one_file: Datasets, data: Path) -> None:
    one_file.create("pets", str(data))
    (data / "cat/2").write_text("owt")
    with pytest.raises(StoreError, match="cat/2: it has changed since it was registered"):
        one_file.snapshot("pets")
    assert one_file.snapshots("pets") == []


@pytest.mark.parametrize("scheme", ["memory", "s3"])
def test_data_manifests_and_copies_behind_urls(
    scheme: str, one_file: Datasets, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import fsspec

    base = f"memory://{tmp_path.name}"
    if scheme == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        base = bucket.url
    for path in ("cat/1", "cat/2", "dog/1"):
        with fsspec.open(f"{base}/data/{path}", "wb") as file:
            file.write((data / path).read_bytes())
    made = one_file.create("pets", f"{base}/data", store=f"{base}/store")
    assert made.version.root == Datasets.digest(str(data)).root
    # what memory keeps has no mark that a change would surely change
    unread = 0 if scheme == "s3" else 3
    assert one_file.create("pets", f"{base}/data").read == unread
    with fsspec.open(f"{base}/data/cat/2", "wb") as file:
        file.write(b"dos")
    second = one_file.create("pets", f"{base}/data")
    assert (second.version.label, second.version.store) == ("pets@2", f"{base}/store")
    assert second.read == (1 if scheme == "s3" else 3)
    assert one_file.compare("pets@1", "pets@2").changed == ("cat/2",)
    assert one_file.verify("pets@2").none and one_file.verify("pets@1", str(data)).none
    assert one_file.snapshot("pets@2").copied == 3
    assert one_file.restore("pets@2", tmp_path / "to") == 3
    assert (tmp_path / "to/cat/2").read_text() == "dos"
    assert not (tmp_path / "datasets").exists()
    with pytest.raises(UsageError, match="did you mean"):
        one_file.snapshot("pets@2", "sftpp://bucket/x")


def test_the_database_may_be_moved_with_what_lies_beside_it(
    one_file: Datasets, data: Path, tmp_path: Path
) -> None:
    one_file.create("pets", str(data))
    one_file.snapshot("pets")
    one_file.engine.dispose()
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("hpo.db", "datasets"):
        (tmp_path / name).rename(moved / name)
    again = Datasets.open(f"sqlite:///{moved}/hpo.db")
    assert again.statistics("pets").files == 3
    assert again.restore("pets", tmp_path / "to") == 3
    again.engine.dispose()


def test_what_an_address_refers_to_is_not_stored(
    one_file: Datasets, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE_PETS_ARE", str(data))
    made = one_file.create("pets", "${env:WHERE_PETS_ARE}")
    assert made.version.location == "${env:WHERE_PETS_ARE}"
    assert one_file.create("pets", str(data)).read == 0  # the same place
    (data / "a\nb").write_text("")
    with pytest.raises(StoreError, match="WHERE_PETS_ARE") as error:
        one_file.create("pets", "${env:WHERE_PETS_ARE}")
    assert str(data) not in str(error.value)
    one_file.engine.dispose()
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and data not in path.parents]
    assert not [path for path in kept if str(data).encode() in path.read_bytes()]
    assert json.loads((tmp_path / "datasets/stamps/pets.jsonl").read_text().split("\n")[0])


def test_a_dataset_that_is_called_a_number_already_goes_on(one_file: Datasets, data: Path) -> None:
    """An older hpo let it be called so."""
    one_file.create("d12", str(data))
    with connect(one_file.engine) as connection:
        connection.execute(hpo_dataset_versions.update().values(name="12"))
    (data / "new").write_text("4")
    assert one_file.create("12", str(data)).version.label == "12@2"
